// Loads the solution, runs the suite, and reports on descriptor 3.
//
// Both run in this realm: a suite calls the solution's functions, and compares what they return.
// Everything here that the candidate could bend is taken hold of before it is loaded. The token
// that a pass needs is in this module's closure only, where no JavaScript can read it.
//
// Argument, where a compiler made both: how many lines were put before the suite.
'use strict';

const fs = require('fs');
const util = require('util');
const { hideText, keep, meanings } = require('./builtins.js');
const { Counter, consoleAssert, countedAssert } = require('./counting.js');
const { close, makeRequire, takenModules } = require('./modules.js');
const { Places } = require('./places.js');
const { compileScript } = require('./scripts.js');
const { Waiting } = require('./waiting.js');
const { canFail } = require('./ways.js');

const REPORT_FD = 3;
const TOKEN_FD = 4;
const TOKEN_BYTES = 32;

// In memory of its own, wiped: what is read by usual means stays where `Buffer` shows it.
function takeText(fd, size, encoding) {
  const bytes = Buffer.alloc(size);
  let have = 0;
  let got = 1;
  while (have < size && got > 0) {
    got = fs.readSync(fd, bytes, have, size - have);
    have += got;
  }
  fs.closeSync(fd);
  const text = bytes.toString(encoding, 0, have);
  bytes.fill(0);
  return text;
}

function takeFile(path) {
  const fd = fs.openSync(path);
  return takeText(fd, fs.fstatSync(fd).size, 'utf8');
}

const token = takeText(TOKEN_FD, TOKEN_BYTES, 'latin1');
const solutionText = takeFile('solution.js');
const suiteText = takeFile('suite.js');
// The suite is not for the candidate's eyes.
fs.unlinkSync('suite.js');
const places = new Places(Number(process.argv[2] || 0));

const { stringify } = JSON;
const { inspect } = util;
const { apply } = Reflect;
const {
  Error, Object, Set, String, setImmediate,
} = globalThis;
// Below fs, whose functions a candidate can replace by others.
const { writeString } = process.binding('fs');
const exit = process.reallyExit.bind(process);
const activeResources = process.getActiveResourcesInfo.bind(process);
const error = console.error.bind(console);

// Of the language itself: by these a program fails, and no suite says that something is wrong.
const OF_THE_LANGUAGE = new Set(
  [TypeError, RangeError, ReferenceError, SyntaxError, EvalError, URIError],
);
const HAS_WAYS = canFail(suiteText);
const IN_VAIN = 'the suite awaits something that never happens';

// What is reported inherits from nothing: the language asks what it turns into JSON how to do that.
function report(event) {
  writeString(REPORT_FD, `${stringify({ __proto__: null, ...event })}\n`, null, 'latin1', undefined, {});
}

function ascii(text) {
  return String(text).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16)}`);
}

function shown(value) {
  try {
    return ascii(inspect(value, { depth: 4, breakLength: Infinity })).slice(0, 500);
  } catch {
    return '';
  }
}

let phase = 'COMPILE';
const counter = new Counter(suiteText, places, (event) => report({
  ...event, expression: ascii(event.expression), left: ascii(event.left), right: ascii(event.right),
}));

// An error ends everything at once, as it does under Node.
function stop(verdict, message) {
  report({ event: 'stopped', verdict, phase, message: ascii(message).slice(0, 2000) });
  exit(1);
}

function replaced(name) {
  stop('TAMPERED', `the solution replaced the built-in function ${name}`);
}

function described(reason) {
  try {
    if (reason instanceof Error) {
      const where = places.first(String(reason.stack));
      return `${reason.name}: ${reason.message}${where ? ` (${where})` : ''}`;
    }
    return `thrown: ${shown(reason)}`;
  } catch {
    return 'an error that cannot be shown';
  }
}

// Whether the suite itself has thrown `reason`, to say that something is wrong.
function saysSo(reason) {
  try {
    return reason instanceof Error && !OF_THE_LANGUAGE.has(reason.constructor)
      && places.first(String(reason.stack)).startsWith('suite.');
  } catch {
    return false;
  }
}

function fail(expression) {
  report({ event: 'failed', line: 0, expression: ascii(expression).slice(0, 500) });
  exit(1);
}

function crash(reason) {
  error(reason);
  if (phase === 'TEST' && saysSo(reason)) fail(described(reason));
  stop('RUNTIME_ERROR', described(reason));
}

function compiled(filename, verdict, describe, ...source) {
  try {
    return compileScript(source[0], filename, ...source.slice(1));
  } catch (reason) {
    const line = /:(\d+)/.exec(String(reason.stack));
    return stop(verdict, `${describe}${filename}:${line ? line[1] : 1}: ${reason.name}: ${reason.message}`);
  }
}

// Whatever the candidate does to the listeners of `name`, there is this one.
function listen(name, listener) {
  process.on(name, listener);
  Object.defineProperty(process._events, name, {
    get: () => listener, set() {}, enumerable: true, configurable: false,
  });
}

// What a compiler made of `export const x` is no name of its own any more.
function shareExports(exported) {
  if (exported === null || typeof exported !== 'object') return;
  for (const name of Object.keys(exported)) {
    if (!(name in globalThis)) globalThis[name] = exported[name];
  }
}

// Whether something is still to come. Handles, such as those of the output, are there without that.
function waits() {
  return activeResources().some((name) => !name.endsWith('Wrap'));
}

class Suite {
  #changed;
  #run;
  #waiting = new Waiting(suiteText, SUITE_HEAD.length);
  #done = false;
  #console = Object.create(console, { assert: { value: consoleAssert(counter, error) } });
  // Where the suite says that it has failed, without an assertion.
  #process = Object.create(process, {
    exit: { value: (code = this.#process.exitCode) => this.#leave(code || 0) },
    exitCode: { value: undefined, writable: true },
  });

  // changed: names what of the built-in functions is not what it was.
  constructor(script, require, changed) {
    const module = { exports: {} };
    const given = {
      ...meanings(),
      assert: require('assert'), console: this.#console, process: this.#process,
      require, module, exports: module.exports,
    };
    this.#run = apply(script.runInThisContext(), undefined, SUITE_NAMES.map((name) => given[name]));
    this.#changed = changed;
  }

  async run() {
    // Also a candidate can say that nothing is left to do.
    listen('beforeExit', () => {
      if (!this.#done) stop('RUNTIME_ERROR', IN_VAIN);
      setImmediate(() => {
        // Node's own runner of tests says so by the status of the process.
        if (!waits()) this.#end();
      });
    });
    this.#waiting.watch();
    try {
      await this.#run();
    } catch (reason) {
      crash(reason);
    }
    this.#done = true;
  }

  #end() {
    const code = this.#process.exitCode || process.exitCode || 0;
    if (code === 0 && counter.failed === 0) {
      const altered = this.#waiting.blinded();
      if (altered !== null) replaced(altered);
      if (this.#waiting.inVain()) stop('RUNTIME_ERROR', IN_VAIN);
    }
    this.#leave(code);
  }

  #leave(code) {
    if (code !== 0) fail(`the suite ended the program with status ${code}`);
    const altered = this.#changed();
    if (altered !== null && counter.failed === 0) replaced(altered);
    if (counter.failed !== 0) exit(1);
    const passed = counter.passed || (HAS_WAYS ? 1 : 0);
    report({ event: 'end', token, passed, failed: 0 });
    exit(0);
  }
}

// The names that a suite is given, and may use for something else.
const SUITE_NAMES = [
  ...Object.keys(meanings()), 'assert', 'console', 'process', 'require', 'module', 'exports',
];

// A function: a suite may use names that the solution has too, and may await.
const SUITE_HEAD = `((${SUITE_NAMES}) => async () => {`;

function main() {
  const script = compiled('solution.js', 'COMPILE_ERROR', '', solutionText);
  const suiteScript = compiled(
    'suite.js', 'TEST_ERROR', 'the suite does not compile: ',
    suiteText, SUITE_HEAD, '\n})',
  );
  const taken = takenModules(suiteText);
  taken.assert = countedAssert(counter, shown);
  taken['assert/strict'] = taken.assert.strict;
  const solutionModule = { exports: {} };
  hideText(suiteText);
  const changed = keep(solutionText + suiteText);
  const suite = new Suite(suiteScript, makeRequire(solutionModule, taken), changed);
  close();
  listen('uncaughtException', crash);
  listen('unhandledRejection', crash);
  Object.defineProperty(process, '_events', { writable: false, configurable: false });
  Object.assign(globalThis, {
    require: makeRequire(solutionModule), module: solutionModule, exports: solutionModule.exports,
    __dirname: process.cwd(), __filename: `${process.cwd()}/solution.js`,
  });
  phase = 'LOAD';
  try {
    script.runInThisContext();
    shareExports(solutionModule.exports);
  } catch (reason) {
    crash(reason);
  }
  phase = 'TEST';
  report({ event: 'begin' });
  suite.run();
}

main();
