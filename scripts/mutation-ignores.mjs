// Which code is not mutated: what people read, and nothing that decides anything.

/** Properties of option tables and problems whose value is a text for people. */
const TEXT_PROPERTIES = new Set(['sentence', 'defaultText', 'message']);

const isText = (path) => path.isStringLiteral() || path.isTemplateLiteral();

/** Parts of the text of an error, down to the conditions that choose words. */
function isErrorText(path) {
  const holder = path.parentPath;
  return (
    isText(path) &&
    holder.isNewExpression() &&
    holder.get('callee').isIdentifier() &&
    holder.node.callee.name.endsWith('Error')
  );
}

/** What is told by `add('option', 'what is wrong')`, kept as `const message = …`, or given to `process.emitWarning`. */
function isMessage(path) {
  const { parent } = path;
  if (!isText(path)) return false;
  if (parent.type === 'VariableDeclarator') return parent.id.name === 'message';
  if (parent.type !== 'CallExpression') return false;
  const { name, property } = parent.callee;
  return name === 'add' ? path.key > 0 : (property?.name ?? name) === 'emitWarning';
}

const texts = {
  shouldIgnore(path) {
    if (path.isClassMethod() && path.node.key.name === 'describe') return 'describe() is a text for people';
    if (
      isText(path) &&
      path.parentPath.isObjectProperty() &&
      TEXT_PROPERTIES.has(path.parentPath.node.key.name)
    ) {
      return 'a text for people';
    }
    if (isMessage(path)) return 'a text for people';
    if (isErrorText(path)) return 'the text of an error';
    return undefined;
  },
};

export const strykerPlugins = [{ kind: 'Ignore', name: 'texts', value: texts }];
