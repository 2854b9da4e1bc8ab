// Which modules a candidate and its suite may load.
'use strict';

const Module = require('module');

const {
  create, defineProperties, freeze, getOwnPropertyDescriptors, getPrototypeOf, hasOwn,
} = Object;
const { apply, construct } = Reflect;
const { Error, String } = globalThis;

// With these a program can look into the memory of its own process, or of this judge's functions,
// or take errors away from it.
const CLOSED = new Set([
  'child_process', 'cluster', 'domain', 'inspector', 'inspector/promises', 'module', 'repl',
  'trace_events', 'v8', 'vm', 'wasi', 'worker_threads',
]);
const SOLUTION = /^(\.\/)?solution(\.m?[jt]s)?$/;
const REQUIRED = /\b(?:require\(|import\(|from|import)\s*["']((?:node:)?[\w/]+)["']/g;
const SCHEME = /^node:/;
// Node gives the files that it loads more than a candidate may have.
const WRITABLE = [`${process.cwd()}/`, '/dev/shm/'];

// Node asks /proc for this, which is not there. load: loads a module that candidates may not have.
function answerForMemory(load) {
  process.memoryUsage = () => {
    const {
      total_heap_size: heapTotal, used_heap_size: heapUsed, external_memory: external,
    } = load('v8').getHeapStatistics();
    return { rss: heapTotal + external, heapTotal, heapUsed, external, arrayBuffers: 0 };
  };
  process.memoryUsage.rss = () => process.memoryUsage().rss;
}

// Closes the loader itself, so that nothing reaches around `makeRequire`.
function close() {
  const load = Module._load;
  answerForMemory((name) => apply(load, Module, [name]));
  const resolve = Module._resolveFilename;
  Module._load = function _load(name, ...rest) {
    refuse(name);
    const path = apply(resolve, Module, [name, ...rest]);
    if (WRITABLE.some((folder) => path.startsWith(folder)) && !path.endsWith('.json')) {
      throw new Error(`Cannot find module '${name}'`);
    }
    return apply(load, this, [name, ...rest]);
  };
  for (const name of ['binding', '_linkedBinding', 'dlopen', 'getBuiltinModule', 'mainModule',
    '_debugProcess', '_debugEnd', '_startProfilerIdleNotifier', '_stopProfilerIdleNotifier',
    'setUncaughtExceptionCaptureCallback']) {
    delete process[name];
  }
  // By these it would be shown the suite's timers.
  const hooks = require('async_hooks');
  delete hooks.createHook;
  delete hooks.executionAsyncResource;
  // This judge's own.
  for (const path of Object.keys(Module._cache)) delete Module._cache[path];
  process.execArgv.length = 0;
}

function refuse(name) {
  if (CLOSED.has(String(name).replace(SCHEME, ''))) {
    throw new Error(`module '${name}' is not available here`);
  }
}

// Copies of the built-in modules that `suite` requires, by name: nothing is replaced in these.
function takenModules(suite) {
  const taken = create(null);
  for (const [, name] of suite.matchAll(REQUIRED)) {
    const plain = name.replace(SCHEME, '');
    if (Module.isBuiltin(name) && !CLOSED.has(plain)) taken[plain] = copied(require(name));
  }
  return taken;
}

function copied(module) {
  if (typeof module !== 'function') {
    return freeze(create(getPrototypeOf(module), getOwnPropertyDescriptors(module)));
  }
  function copy(...args) {
    return new.target ? construct(module, args, new.target) : apply(module, this, args);
  }
  return freeze(defineProperties(copy, getOwnPropertyDescriptors(module)));
}

// A `require` for scripts in the scratch folder. `solution`: what the solution exports.
// `own`: modules that stand in for Node's, by name.
function makeRequire(solution, own = {}) {
  const scratch = Module.createRequire(`${process.cwd()}/`);
  function require(name) {
    if (SOLUTION.test(name)) return solution.exports;
    const plain = String(name).replace(SCHEME, '');
    if (hasOwn(own, plain)) return own[plain];
    refuse(name);
    return scratch(name);
  }
  // What `import(name)` comes to.
  require.imported = async (name) => {
    const found = require(name);
    return found.default === undefined ? { __proto__: null, ...found, default: found } : found;
  };
  return require;
}

module.exports = { close, makeRequire, takenModules };
