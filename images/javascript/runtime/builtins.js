// What suites rely on, kept from the candidate: functions that compare and print values.
'use strict';

const {
  defineProperty, freeze, getOwnPropertyDescriptor, getPrototypeOf,
} = Object;
const { ownKeys, apply } = Reflect;

const NAMESPACES = [
  Object, Reflect, JSON, Math, Number, String, Boolean, Symbol, BigInt, Array, Date, Promise,
  RegExp, Map, Set, Error, Atomics, Intl,
];
// Objects that programs make inherit from these, and an assignment to an inherited property that
// cannot be written fails. So only those whose methods nobody gives to objects of their own.
const FIXED = [
  Array, String, Number, Boolean, BigInt, Symbol, Map, Set, WeakMap, WeakSet, Promise, RegExp,
  Date, ArrayBuffer, DataView, getPrototypeOf(Uint8Array),
];
const ITERATORS = [[][Symbol.iterator](), new Map().entries(), new Set().values(), ''[Symbol.iterator]()];
const WATCHED = [Object.prototype, Function.prototype, Error.prototype];

function fix(object) {
  for (const key of ownKeys(object)) {
    const descriptor = getOwnPropertyDescriptor(object, key);
    if (!descriptor.configurable || key === 'constructor') continue;
    if ('value' in descriptor && typeof descriptor.value === 'function') {
      defineProperty(object, key, { writable: false, configurable: false });
    } else if (!('value' in descriptor)) {
      defineProperty(object, key, { configurable: false });
    }
  }
}

// Fixes the built-in functions. Returns a function that says whether those that had to stay
// open are still what they were.
function keep() {
  NAMESPACES.forEach((namespace) => {
    for (const key of ownKeys(namespace)) {
      const { configurable, value } = getOwnPropertyDescriptor(namespace, key);
      // `name` and `length` are data that classes derived from these have themselves.
      if (configurable && typeof value === 'function') {
        defineProperty(namespace, key, { writable: false, configurable: false });
      }
    }
  });
  FIXED.forEach((constructor) => fix(constructor.prototype || constructor));
  ITERATORS.forEach((iterator) => fix(getPrototypeOf(iterator)));
  const globals = [
    'Object', 'Array', 'String', 'Number', 'Boolean', 'JSON', 'Math', 'Map', 'Set', 'Promise',
    'RegExp', 'Date', 'Reflect', 'Symbol', 'BigInt', 'Error', 'TypeError', 'RangeError',
    'isNaN', 'isFinite', 'parseInt', 'parseFloat', 'structuredClone',
  ];
  for (const name of globals) {
    if (name in globalThis) defineProperty(globalThis, name, { writable: false, configurable: false });
  }
  const seen = [];
  for (const object of WATCHED) {
    for (const key of ownKeys(object)) {
      const descriptor = getOwnPropertyDescriptor(object, key);
      seen.push([object, key, descriptor.value, descriptor.get]);
    }
  }
  freeze(seen);
  return () => {
    for (let i = 0; i < seen.length; i += 1) {
      const [object, key, value, get] = seen[i];
      const now = getOwnPropertyDescriptor(object, key);
      if (now === undefined || now.value !== value || now.get !== get) return String(key);
    }
    return null;
  };
}

// A candidate that is called by a suite could read the suite's text from the calling function.
function hideText(text) {
  const original = Function.prototype.toString;
  const includes = String.prototype.includes;
  function toString() {
    const source = apply(original, this, []);
    return apply(includes, text, [source]) ? 'function () { [native code] }' : source;
  }
  defineProperty(Function.prototype, 'toString', {
    value: toString, writable: false, configurable: false, enumerable: false,
  });
}

module.exports = { keep, hideText };
