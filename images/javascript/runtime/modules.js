// Which modules a candidate and its suite may load.
'use strict';

const Module = require('module');

// With these a program can look into the memory of its own process, or of this judge's functions.
const CLOSED = new Set([
  'child_process', 'cluster', 'inspector', 'inspector/promises', 'module', 'repl', 'trace_events',
  'v8', 'vm', 'wasi', 'worker_threads',
]);
const SOLUTION = /^(\.\/)?solution(\.js)?$/;

// Closes the loader itself, so that nothing reaches around `makeRequire`.
function close() {
  const load = Module._load;
  Module._load = function _load(name, ...rest) {
    refuse(name);
    return load.call(this, name, ...rest);
  };
  for (const name of ['binding', '_linkedBinding', 'dlopen', 'getBuiltinModule', 'mainModule',
    '_debugProcess', '_debugEnd', '_startProfilerIdleNotifier', '_stopProfilerIdleNotifier']) {
    delete process[name];
  }
  process.execArgv.length = 0;
}

function refuse(name) {
  if (CLOSED.has(String(name).replace(/^node:/, ''))) {
    throw new Error(`module '${name}' is not available here`);
  }
}

// A `require` for scripts in the scratch folder. `solution`: what the solution exports.
// `own`: modules that stand in for Node's, by name.
function makeRequire(solution, own = {}) {
  const scratch = Module.createRequire(`${process.cwd()}/`);
  return function require(name) {
    if (SOLUTION.test(name)) return solution.exports;
    const plain = String(name).replace(/^node:/, '');
    if (Object.prototype.hasOwnProperty.call(own, plain)) return own[plain];
    refuse(name);
    return scratch(name);
  };
}

module.exports = { close, makeRequire };
