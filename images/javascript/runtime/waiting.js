// Notices what a suite waits for in vain: what stands behind that was not run, and Node ends such
// a program as if all was well.
'use strict';

const { promiseHooks } = require('v8');

const {
  Error, Map, Object, String,
} = globalThis;
const { defineProperty, set } = Reflect;
const { prepareStackTrace } = Error;

// Where a suite has neither word it waits for nothing.
const WAITS = /\b(?:await|then)\b/;
// Behind two functions of this file, and one of Node's where others look, too: what waits was made
// by the suite itself, or by a method of promises that it called.
const BY_SUITE = /^(?:[^\n]*\n){3}(?:[^\n]*\bnode:internal\/promise_hooks\b[^\n]*\n)?( +at Promise\.(?:then|catch|finally) \(<anonymous>\)\n)*[^\n]*\bsuite\.js:(\d+):(\d+)\)?(?:\n|$)/;
const FRAMES = 7;
// To see who waits takes some microseconds of the candidate's time, so not for ever.
const MOST = 200000;

// A suite may wait for something to the end, such as a consumer for more: only where it would
// have checked something then is this in vain.
const LITERALS = /\/\/[^\n]*|\/\*[^]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
const CHECKS = /assert|expect|equal|\bthrow\b|\bfail|\bexit/i;
const BLOCK = /\b(?:if|else|for|while|do|switch|try|catch|finally)\b/;
const FUNCTION = /=>\s*$|\bfunction\b/;
const CALLS_BACK = /\.\s*(?:then|catch|finally)\s*\(/g;
const INLINE = /=>|\bfunction\b/;

class Waiting {
  #suite;
  #head;
  #started = new Map();
  #count = 0;
  #blind = false;

  // head: length of what stands before the suite on its first line.
  constructor(suite, head) {
    this.#head = head;
    this.#suite = suite.replace(LITERALS, (text) => text.replace(/[^\n]/g, '_'));
    // By these it is seen who waits.
    defineProperty(Error, 'stackTraceLimit', {
      value: Error.stackTraceLimit, writable: true, enumerable: true, configurable: false,
    });
    Object.freeze(Object.getPrototypeOf(callSite()));
  }

  // To be called when the suite begins.
  watch() {
    if (!WAITS.test(this.#suite)) return;
    promiseHooks.createHook({
      init: (promise, parent) => {
        if (parent !== undefined && this.#count < MOST) this.#note(promise);
      },
      settled: (promise) => { this.#started.delete(promise); },
    });
  }

  #note(promise) {
    this.#count += 1;
    const limit = Error.stackTraceLimit;
    if (!set(Error, 'stackTraceLimit', FRAMES)) this.#blind = true;
    this.#started.set(promise, new Error());
    set(Error, 'stackTraceLimit', limit);
  }

  // What a solution has changed so that nothing can be seen; null where it has not.
  blinded() {
    const hidden = !set(Error, 'prepareStackTrace', prepareStackTrace);
    return this.#blind || hidden ? 'stackTraceLimit' : null;
  }

  // Whether there is a check in the suite that still waits.
  inVain() {
    for (const place of this.#started.values()) {
      const found = BY_SUITE.exec(String(place.stack));
      if (found === null) continue;
      const start = this.#startOf(Number(found[2]), Number(found[3]));
      if (found[1] ? this.#calledBack(start) : CHECKS.test(this.#behind(start))) return true;
    }
    return false;
  }

  // Where the statement begins that `column` of `line` is in, or the line.
  #startOf(line, column) {
    let start = 0;
    for (let i = 1; i < line; i += 1) start = this.#suite.indexOf('\n', start) + 1;
    const place = start + column - 1 - (line === 1 ? this.#head : 0);
    let depth = 0;
    for (let at = start; at < place; at += 1) {
      const sign = this.#suite[at];
      if (sign === '(') depth += 1;
      if (sign === ')') depth -= 1;
      if (depth === 0 && (sign === ';' || sign === '{' || sign === '}')) start = at + 1;
    }
    return start;
  }

  // Whether a function that the line of `place` gives to a promise checks anything, or cannot be
  // looked at.
  #calledBack(place) {
    const start = this.#suite.lastIndexOf('\n', place) + 1;
    const end = this.#suite.indexOf('\n', start);
    for (const call of this.#suite.matchAll(CALLS_BACK)) {
      const at = call.index + call[0].length;
      if (at <= start || (end >= 0 && call.index > end)) continue;
      const given = this.#suite.slice(at, closing(this.#suite, at));
      if (CHECKS.test(given) || !INLINE.test(given)) return true;
    }
    return false;
  }

  // What the suite has from `start` on, up to the end of the function that this is in.
  #behind(start) {
    const text = this.#suite;
    const opened = openBraces(text.slice(0, start));
    let depth = 0;
    for (let at = start; at < text.length; at += 1) {
      if (text[at] === '{') depth += 1;
      if (text[at] === '}') depth -= 1;
      if (depth < 0) {
        if (opened.length === 0 || opensFunction(text, opened.pop())) return text.slice(start, at);
        depth = 0;
      }
    }
    return text.slice(start);
  }
}
Object.freeze(Waiting.prototype);

function callSite() {
  Error.prepareStackTrace = (error, sites) => sites[0];
  const site = new Error().stack;
  Error.prepareStackTrace = prepareStackTrace;
  return site;
}

// Where the bracket of `pair` is closed that opens before `at`.
function closing(text, at, pair = '()') {
  let depth = 1;
  for (let end = at; end < text.length; end += 1) {
    if (text[end] === pair[0]) depth += 1;
    if (text[end] === pair[1]) depth -= 1;
    if (depth === 0) return end;
  }
  return text.length;
}

// The places of the braces in `text` that are not closed in it.
function openBraces(text) {
  const found = [];
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '{') found.push(at);
    if (text[at] === '}') found.pop();
  }
  return found;
}

function opensFunction(text, brace) {
  const head = text.slice(0, brace).split(/[{}]/).pop();
  return FUNCTION.test(head) || !BLOCK.test(head);
}

module.exports = { LITERALS, Waiting, closing };
