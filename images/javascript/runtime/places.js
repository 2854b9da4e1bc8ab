// Places in the solution and the suite, as their authors know them: where these were compiled to
// JavaScript, source maps lie beside them.
'use strict';

const fs = require('fs');
const { SourceMap } = require('module');

const { Number } = globalThis;

const PLACE = /\b(solution|suite)\.js:(\d+)(?::(\d+))?/;
const IN_SUITE = /\bsuite\.js:(\d+)(?::(\d+))?/;

class Places {
  #maps = {};
  #before;

  // before: how many lines were put before the suite that was compiled.
  constructor(before) {
    this.#before = { solution: 0, suite: before };
    for (const name of ['solution', 'suite']) {
      const path = `${name}.js.map`;
      if (!fs.existsSync(path)) continue;
      this.#maps[name] = new SourceMap(JSON.parse(fs.readFileSync(path, 'utf8')));
      fs.unlinkSync(path);
    }
  }

  #original(name, line, column) {
    if (!this.#maps[name]) return line;
    const { originalLine } = this.#maps[name].findEntry(line - 1, Math.max(column - 1, 0));
    return originalLine === undefined ? line : originalLine + 1 - this.#before[name];
  }

  // The first place in a stack, as text; empty where there is none.
  first(stack) {
    const found = PLACE.exec(stack);
    if (found === null) return '';
    const [, name, line, column] = found;
    const extension = this.#maps[name] ? 'ts' : 'js';
    return `${name}.${extension}:${this.#original(name, Number(line), Number(column || 0))}`;
  }

  // The first line of the suite in a stack; 0 where there is none.
  inSuite(stack) {
    const found = IN_SUITE.exec(stack);
    if (found === null) return { line: 0, compiledLine: 0 };
    const compiledLine = Number(found[1]);
    return { line: this.#original('suite', compiledLine, Number(found[2] || 0)), compiledLine };
  }
}

module.exports = { Places };
