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
    if (isErrorText(path)) return 'the text of an error';
    return undefined;
  },
};

export const strykerPlugins = [{ kind: 'Ignore', name: 'texts', value: texts }];
