// Modules of the language's own kind, made scripts: newer versions of Node take `import` and
// `export` in a file of either kind, and a suite reaches a script's names.
'use strict';

const { Script } = require('vm');

const IMPORT = /^([ \t]*)import\s+([\w$*{},\s]+?)\s*\bfrom\s*(["'][^"'\n]+["'])/gm;
const IMPORT_ONLY = /^([ \t]*)import\s*(["'][^"'\n]+["'])/gm;
const EXPORT_LIST = /^([ \t]*)export\s*\{([^}]*)\}(?!\s*from\b)/gm;
const EXPORT_NAMED_DEFAULT = /^([ \t]*)export\s+default\s+((?:async\s+)?function\s*\*?|class)\s+(?!extends\b)([\w$]+)/gm;
const EXPORT_DEFAULT = /^([ \t]*)export\s+default\b/gm;
const EXPORT = /^([ \t]*)export\s+((?:async\s+)?function\s*\*?|class|const|let|var)(\s+)([\w$]+)/gm;
const EXPORT_PARTS = /^([ \t]*)export\s+((?:const|let|var)\s*(?:\{([^{}=]*)\}|\[([^[\]=]*)\])\s*=)/gm;
const META = /\bimport\.meta\b/g;
// Where this is called, it is the function of the script's own `require`.
const DYNAMIC = /(?<![\w$.'"`])import(?=\s*\()/g;
const OF_MODULES = /\b(?:import|export)\b/;

function imported(all, space, clause, path) {
  const made = [];
  const main = /^([\w$]+)/.exec(clause);
  const whole = /\*\s*as\s+([\w$]+)/.exec(clause);
  const named = /\{([^}]*)\}/.exec(clause);
  if (main) made.push(`${main[1]} = require(${path}).default ?? require(${path})`);
  if (whole) made.push(`${whole[1]} = require(${path})`);
  if (named) made.push(`{${named[1].replace(/\s+as\s+/g, ': ')}} = require(${path})`);
  return `${space}const ${made.join(', ')}`;
}

// `text` with its imports and exports in a script's words; no line is moved.
function withoutModules(text) {
  const exported = [];
  const list = (all, space, names) => {
    for (const name of names.split(',').map((one) => one.trim()).filter(Boolean)) {
      const [local, called = local] = name.split(/\s+as\s+/);
      exported.push([called, local]);
    }
    return space + all.replace(/[^\n]/g, '');
  };
  const one = (all, space, kind, gap, name) => {
    exported.push([name, name]);
    return `${space}${kind}${gap}${name}`;
  };
  const parts = (all, space, kept, ofObject, ofList) => {
    for (const part of (ofObject ?? ofList).split(',')) {
      const name = part.split(':').pop().replace('...', '').trim();
      if (name) exported.push([name, name]);
    }
    return space + kept;
  };
  const main = (all, space, kind, name) => {
    exported.push(['default', name]);
    return `${space}${kind} ${name}`;
  };
  const script = text.replace(IMPORT, imported).replace(IMPORT_ONLY, '$1require($2)')
    .replace(META, '({ url: "file:///solution.mjs", dirname: __dirname, filename: __filename })')
    .replace(EXPORT_LIST, list).replace(EXPORT_NAMED_DEFAULT, main)
    .replace(EXPORT_DEFAULT, '$1exports.default =').replace(EXPORT, one)
    .replace(EXPORT_PARTS, parts);
  return `${script}\n;${exported.map(([called, local]) => `exports.${called} = ${local};`).join('')}`;
}

// `given`, between `before` and `after`, as a script.
//
// Throws a SyntaxError, where it is neither a script nor a module that can be made one.
function compileScript(given, filename, before = '', after = '') {
  const text = given.replace(DYNAMIC, 'require.imported');
  try {
    return new Script(before + text + after, { filename });
  } catch (reason) {
    if (!OF_MODULES.test(text)) throw reason;
    try {
      return new Script(before + withoutModules(text) + after, { filename });
    } catch {
      throw reason;
    }
  }
}

module.exports = { compileScript };
