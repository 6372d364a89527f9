/** Private fields, as they are written and as compilers turn them into maps. */
const PRIVATE_FIELD = /[.?]#[\w$]|#[\w$]+ in |classPrivateField/i;
const NATIVE = /\{\s*\[native code\]\s*\}$/;

interface ClassTraits {
  /** Whether its instances keep something where nobody can look. */
  readonly hides: boolean;
  /** Whether one without properties has been given something all the same. */
  readonly takes: boolean;
}

const traits = new WeakMap<object, ClassTraits>();

/**
 * Whether an object may hold more than its properties show: private fields, or what belongs to the engine. One without
 * any properties does so unless its classes leave no doubt that there is nothing, as an empty data class does.
 */
export function hidesState(value: object, isEmpty: boolean): boolean {
  if (isEmpty && Reflect.ownKeys(value).length > 0) return true;
  let prototype = Object.getPrototypeOf(value) as object | null;
  while (prototype !== null) {
    const above = Object.getPrototypeOf(prototype) as object | null;
    // The root: `Object.prototype` of some realm, or what stands in its place.
    if (above === null) return false;
    const { hides, takes } = traitsOf(prototype);
    if (hides || (isEmpty && takes)) return true;
    prototype = above;
  }
  return false;
}

function traitsOf(prototype: object): ClassTraits {
  let known = traits.get(prototype);
  if (known === undefined) traits.set(prototype, (known = lookAt(prototype)));
  return known;
}

function lookAt(prototype: object): ClassTraits {
  const constructor: unknown = Object.hasOwn(prototype, 'constructor') ? prototype.constructor : undefined;
  // No class: an object made from another one.
  if (typeof constructor !== 'function') return { hides: false, takes: true };
  const text = Function.prototype.toString.call(constructor);
  return {
    hides: NATIVE.test(text) || PRIVATE_FIELD.test(text),
    takes: constructor.length > 0 || text.includes('WeakMap'),
  };
}
