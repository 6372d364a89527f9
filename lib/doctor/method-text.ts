/** What a method does, as far as its text tells. */
export interface MethodText {
  /** What it reads of its object, and what it calls on that; `undefined` where it calls nothing by name. */
  readonly members: readonly { readonly name: string; readonly calls: string | undefined }[];
  /** Whether it hands its object on, so that anything of that may be used. */
  readonly isOpen: boolean;
  /** Whether it keeps errors to itself: catches some, and throws none. */
  readonly swallowsErrors: boolean;
}

const CODE_AND_STRINGS = /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
const MEMBER = /\bthis\s*\??\.\s*([\w$]+)(?:\s*\??\.\s*([\w$]+))?/g;
/** What hands `this` on and nevertheless uses no more of it than is written there. */
const HARMLESS = /\b__awaiter\(this\b|\.bind\(this\)/g;

/** Reads the text of a method; of one that has none (native, bound) anything may be. */
export function readMethod(method: (...args: never) => unknown): MethodText {
  const text = Function.prototype.toString.call(method);
  if (text.includes('[native code]')) return { members: [], isOpen: true, swallowsErrors: false };
  const code = text.replace(CODE_AND_STRINGS, codeIn).replace(HARMLESS, '');
  const members = [...code.matchAll(MEMBER)].map(([, name, calls]) => ({ name: name as string, calls }));
  return {
    members,
    isOpen: /\bsuper\b/.test(code) || /\bthis\b/.test(code.replace(MEMBER, '')),
    swallowsErrors: /\bcatch\b/.test(code) && !/\b(?:throw|reject)\b/.test(code),
  };
}

/** What is code in a string or a comment: what a template fills in. */
function codeIn(literal: string): string {
  return literal.startsWith('`') ? ` ${(literal.match(/\$\{[^}]*\}/g) ?? []).join(' ')} ` : ' ';
}
