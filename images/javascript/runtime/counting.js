// Counts what a suite asserts, by console.assert and by Node's assert module.
'use strict';

const nodeAssert = require('assert');

const { apply, ownKeys } = Reflect;
const { Error, Object, String } = globalThis;
const { AssertionError } = nodeAssert;
const isInstance = Function.prototype[Symbol.hasInstance];

class Counter {
  #suite;
  #report;
  #places;
  passed = 0;
  failed = 0;

  constructor(suite, places, report) {
    this.#suite = suite.split('\n');
    this.#places = places;
    this.#report = report;
  }

  hold() { this.passed += 1; }

  fail(left, right) {
    this.failed += 1;
    if (this.failed > 20) return;
    const { line, compiledLine } = this.#places.inSuite(String(new Error().stack));
    const expression = (this.#suite[compiledLine - 1] || '').trim().slice(0, 500);
    this.#report({ event: 'failed', line, expression, left: shown(left), right: shown(right) });
  }
}
Object.freeze(Counter.prototype);

function shown(value) {
  return value === undefined ? '' : value;
}

// console.assert as Node has it, and counted.
function consoleAssert(counter, print) {
  return function assert(condition, ...message) {
    if (condition) {
      counter.hold();
      return;
    }
    counter.fail();
    print('Assertion failed', ...message);
  };
}

// Node's assert module with every function counted.
function countedAssert(counter, inspect) {
  const counted = (original) => function assertion(...args) {
    let result;
    try {
      result = apply(original, this, args);
    } catch (error) {
      // Whatever is thrown: what is compared can throw an error of its own.
      const said = apply(isInstance, AssertionError, [error]) && error.operator !== undefined;
      if (said && args.length > 1) counter.fail(inspect(error.actual), inspect(error.expected));
      else counter.fail();
      throw error;
    }
    if (result !== null && typeof result === 'object' && typeof result.then === 'function') {
      return result.then(
        (value) => { counter.hold(); return value; },
        (error) => { counter.fail(); throw error; },
      );
    }
    counter.hold();
    return result;
  };
  const copy = (original) => {
    const made = counted(original);
    for (const key of ownKeys(original)) {
      const value = original[key];
      if (typeof value === 'function' && key !== 'AssertionError' && key !== 'CallTracker'
        && key !== 'strict') made[key] = counted(value);
    }
    made.AssertionError = AssertionError;
    return made;
  };
  const made = copy(nodeAssert);
  made.strict = copy(nodeAssert.strict);
  made.strict.strict = made.strict;
  Object.freeze(made.strict);
  return Object.freeze(made);
}

module.exports = { Counter, consoleAssert, countedAssert };
