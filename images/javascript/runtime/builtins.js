// What suites rely on, kept from the candidate: functions that compare and print values.
'use strict';

const { inspect } = require('util');

const {
  create, defineProperty, freeze, getOwnPropertyDescriptor, getPrototypeOf, hasOwn, preventExtensions,
} = Object;
const {
  apply, defineProperty: tryToDefine, get: lookUp, ownKeys,
} = Reflect;

const NAMESPACES = [
  Object, Reflect, JSON, Math, Number, String, Boolean, Symbol, BigInt, Array, Date, Promise,
  RegExp, Map, Set, WeakMap, WeakSet, Atomics, Intl, Buffer, Function, ArrayBuffer, DataView,
  Error, AggregateError, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError,
];
// By these a suite may give a program another time and other chances, and programs say how stacks
// are shown; older versions of Node have no function for the last.
const REPLACED = new Set([Date.now, Math.random, Error.prepareStackTrace ?? Date.now]);
const KINDS_OF_FUNCTIONS = [async () => {}, function* generator() {}, async function* both() {}]
  .map(getPrototypeOf);
const GENERATORS = KINDS_OF_FUNCTIONS.slice(1).map((kind) => kind.prototype);
// Objects that programs make inherit from these, and an assignment to an inherited property that
// cannot be written fails: where programs do that, a setter gives the object one of its own.
const GIVEN_TO_HEIRS = new Set([
  ...[Object, Function, Error, Array, Map, Set, Date].map((constructor) => constructor.prototype),
  ...GENERATORS,
]);
const FIXED = [
  ...GIVEN_TO_HEIRS,
  ...[
    String, Number, Boolean, BigInt, Symbol, Promise, WeakMap, WeakSet, RegExp, ArrayBuffer,
    DataView, Buffer,
  ].map((constructor) => constructor.prototype),
  getPrototypeOf(Uint8Array.prototype),
];
const ITERATORS = [
  [][Symbol.iterator](), new Map().entries(), new Set().values(), ''[Symbol.iterator](),
  ''.matchAll(/./g),
].map(getPrototypeOf);
// Between what a suite uses and what that inherits: a function that is put here hides one of those.
const BETWEEN = [
  ...ITERATORS, ...KINDS_OF_FUNCTIONS, ...GENERATORS,
  ...[...ITERATORS, ...GENERATORS].map(getPrototypeOf),
  ...[
    Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
    Float32Array, Float64Array, BigInt64Array, BigUint64Array,
  ].map((constructor) => constructor.prototype),
];
// The language asks objects for these when it compares or prints them; a prototype that has none
// gets none later.
const HOOKS = ['toJSON', 'toString', 'valueOf', Symbol.toPrimitive, inspect.custom];
const WATCHED = [
  ...FIXED.map((prototype) => [prototype, 'constructor']),
  [Error.prototype, 'name'], [Error.prototype, 'message'],
];
// What a suite means by these names is the language's, whatever a solution calls by them.
const NAMES = [
  'Array', 'BigInt', 'Boolean', 'Buffer', 'Date', 'Error', 'JSON', 'Map', 'Math', 'Number',
  'Object', 'Promise', 'Proxy', 'RangeError', 'Reflect', 'RegExp', 'Set', 'String', 'Symbol',
  'SyntaxError', 'TypeError', 'WeakMap', 'WeakSet', 'clearImmediate', 'clearInterval',
  'clearTimeout', 'isFinite', 'isNaN', 'parseFloat', 'parseInt', 'queueMicrotask',
  'setImmediate', 'setInterval', 'setTimeout', 'structuredClone',
];

// To let heirs have iterators of their own by an assignment makes loops slower.
const ASSIGNS_SYMBOL = /\[\s*Symbol\.\w+\s*\]\s*=(?![=>])/;

function isObject(value) {
  return typeof value === 'function' || (typeof value === 'object' && value !== null);
}

// Puts `value` behind an accessor that nothing changes in `object`, and in its heirs anything.
function give(object, key, value) {
  defineProperty(object, key, {
    get() { return value; },
    set(own) {
      if (this === object || !isObject(this)) return;
      tryToDefine(this, key, {
        value: own, writable: true, enumerable: true, configurable: true,
      });
    },
    enumerable: false,
    configurable: false,
  });
}

function fix(object, symbols) {
  const heirs = GIVEN_TO_HEIRS.has(object);
  for (const key of ownKeys(object)) {
    const descriptor = getOwnPropertyDescriptor(object, key);
    if (!descriptor.configurable || key === 'constructor') continue;
    if (!('value' in descriptor)) {
      defineProperty(object, key, { configurable: false });
    } else if (typeof descriptor.value === 'function') {
      if (heirs && (symbols || typeof key === 'string')) give(object, key, descriptor.value);
      else defineProperty(object, key, { writable: false, configurable: false });
    }
  }
}

// Functions only: `name` and `length` are data that classes derived from these have themselves.
function fixStatic(namespace) {
  for (const key of ownKeys(namespace)) {
    const { configurable, value, get } = getOwnPropertyDescriptor(namespace, key);
    if (!configurable || REPLACED.has(value)) continue;
    if (get !== undefined) defineProperty(namespace, key, { configurable: false });
    else if (typeof value === 'function') {
      defineProperty(namespace, key, { writable: false, configurable: false });
    }
  }
  if (typeof namespace === 'function' && !hasOwn(namespace, Symbol.hasInstance)) {
    defineProperty(namespace, Symbol.hasInstance, { value: Function.prototype[Symbol.hasInstance] });
  }
}

// Fixes the built-in functions, for a program of this text. Returns a function that says which of
// what had to stay open is not what it was, or null.
function keep(text) {
  const symbols = ASSIGNS_SYMBOL.test(text);
  NAMESPACES.forEach(fixStatic);
  FIXED.forEach((prototype) => fix(prototype, symbols));
  for (const prototype of FIXED) {
    for (const hook of HOOKS) {
      if (!hasOwn(prototype, hook)) give(prototype, hook, lookUp(prototype, hook));
    }
  }
  BETWEEN.forEach((prototype) => {
    fix(prototype, symbols);
    preventExtensions(prototype);
  });
  const seen = [];
  for (const [object, key] of WATCHED) {
    const { value, get } = getOwnPropertyDescriptor(object, key);
    seen.push([object, key, value, get]);
  }
  freeze(seen);
  return () => {
    for (let i = 0; i < seen.length; i += 1) {
      const [object, key, value, get] = seen[i];
      const now = getOwnPropertyDescriptor(object, key);
      if (now === undefined || now.value !== value || now.get !== get) return key;
    }
    return null;
  };
}

// What the names of NAMES mean before a solution is loaded.
function meanings() {
  const found = create(null);
  for (const name of NAMES) found[name] = globalThis[name];
  return freeze(found);
}

// A candidate that is called by a suite could read the suite's text from the calling function.
function hideText(text) {
  const original = Function.prototype.toString;
  const { includes } = String.prototype;
  Function.prototype.toString = function toString() {
    const source = apply(original, this, []);
    const ofSuite = apply(includes, text, [source]) || apply(includes, source, [text]);
    return ofSuite ? 'function () { [native code] }' : source;
  };
}

module.exports = { hideText, keep, meanings };
