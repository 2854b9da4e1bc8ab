// Loads the solution, runs the suite, and reports on descriptor 3.
//
// Both run in this realm: a suite calls the solution's functions, and compares what they return.
// Everything here that the candidate could bend is taken hold of before it is loaded. The token
// that a pass needs is in this module's closure only, where no JavaScript can read it.
//
// Argument, where a compiler made both: how many lines were put before the suite.
'use strict';

const fs = require('fs');
const vm = require('vm');
const util = require('util');
const { keep, hideText } = require('./builtins.js');
const { Counter, consoleAssert, countedAssert } = require('./counting.js');
const { close, makeRequire } = require('./modules.js');
const { Places } = require('./places.js');

const REPORT_FD = 3;
const TOKEN_FD = 4;

const token = fs.readFileSync(TOKEN_FD, 'latin1');
fs.closeSync(TOKEN_FD);
const solutionText = fs.readFileSync('solution.js', 'utf8');
const suiteText = fs.readFileSync('suite.js', 'utf8');
// The suite is not for the candidate's eyes.
fs.unlinkSync('suite.js');
const places = new Places(Number(process.argv[2] || 0));

const { stringify } = JSON;
const { inspect } = util;
const { apply } = Reflect;
const { Script } = vm;
// Below fs, whose functions a candidate can replace by others.
const { writeString } = process.binding('fs');
const exit = process.reallyExit.bind(process);
const error = console.error.bind(console);
const once = process.once.bind(process);

function report(event) {
  writeString(REPORT_FD, `${stringify(event)}\n`, null, 'latin1', undefined, {});
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

function crash(reason) {
  error(reason);
  stop('RUNTIME_ERROR', described(reason));
}

function compiled(text, filename, verdict, describe) {
  try {
    return new Script(text, { filename });
  } catch (reason) {
    const line = /:(\d+)/.exec(String(reason.stack));
    return stop(verdict, `${describe}${filename}:${line ? line[1] : 1}: ${reason.name}: ${reason.message}`);
  }
}

function finish(changed) {
  const altered = changed();
  if (altered !== null && counter.failed === 0) {
    stop('TAMPERED', `the solution replaced the built-in function ${altered}`);
  }
  report({ event: 'end', token, passed: counter.passed, failed: counter.failed });
  exit(counter.failed ? 1 : 0);
}

function leave(changed) {
  return (code = 0) => {
    if (code === 0 || code === undefined) finish(changed);
    stop('RUNTIME_ERROR', `the suite ended the program with status ${code}`);
  };
}

// What a compiler made of `export const x` is no name of its own any more.
function shareExports(exported) {
  if (exported === null || typeof exported !== 'object' || !exported.__esModule) return;
  for (const name of Object.keys(exported)) {
    if (!(name in globalThis)) globalThis[name] = exported[name];
  }
}

async function main() {
  const suiteModule = { exports: {} };
  const script = compiled(solutionText, 'solution.js', 'COMPILE_ERROR', '');
  // In a function: a suite may use names that the solution has too, and may await.
  const suite = compiled(
    `(async (console, process, require, module, exports) => {${suiteText}\n})`,
    'suite.js', 'TEST_ERROR', 'the suite does not compile: ',
  );
  const own = { assert: countedAssert(counter, shown) };
  own['assert/strict'] = own.assert.strict;
  const ownConsole = Object.create(console, {
    assert: { value: consoleAssert(counter, error) },
  });
  const solutionModule = { exports: {} };
  for (const part of [require('assert'), require('assert').strict]) Object.freeze(part);
  Object.defineProperty(console, 'assert', {
    value: ownConsole.assert, writable: false, configurable: false,
  });
  Object.defineProperty(globalThis, 'console', { value: console, writable: false, configurable: false });
  hideText(suiteText);
  const changed = keep();
  const ownProcess = Object.create(process, { exit: { value: leave(changed) } });
  const suiteRequire = makeRequire(solutionModule, own);
  close();
  Object.assign(globalThis, {
    require: makeRequire(solutionModule), module: solutionModule, exports: solutionModule.exports,
  });
  process.on('uncaughtException', crash);
  phase = 'LOAD';
  try {
    script.runInThisContext();
    shareExports(solutionModule.exports);
  } catch (reason) {
    crash(reason);
  }
  const run = suite.runInThisContext();
  phase = 'TEST';
  report({ event: 'begin' });
  once('beforeExit', () => {
    // The suite itself waits for what never comes.
    if (!done) stop('RUNTIME_ERROR', 'the suite awaits something that never happens');
    finish(changed);
  });
  let done = false;
  try {
    await apply(run, undefined, [
      ownConsole, ownProcess, suiteRequire, suiteModule, suiteModule.exports,
    ]);
  } catch (reason) {
    crash(reason);
  }
  done = true;
}

main();
