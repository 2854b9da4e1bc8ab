// Whether a suite has ways to say that something is wrong, other than assertions that are counted.
'use strict';

const { LITERALS, closing } = require('./waiting.js');

const { Map, Set } = globalThis;

const LEAVES = /\bexit(?:Code)?\b/;
const THROWS = /\bthrow\b/;
// What is caught by a promise may be caught from anywhere.
const CATCHES_ALL = /\.\s*catch\s*\(/;
const TRY = /\btry\s*\{/;
const CATCH = /^\s*catch\b[^{]*\{/;
const NAMED = /\bfunction\b\s*\*?\s*([\w$]+)[^{}]*$|([\w$]+)\s*=\s*(?:async\s*)?(?:function\b[^{}]*|(?:\([^{}]*\)|[\w$]+)\s*=>\s*)$/;
const OPENS_FUNCTION = /=>\s*$|\bfunction\b[^{}]*$/;
const CALLS_IT = /\.\s*(?:forEach|map|every|some|filter|reduce)\s*\([^{}]*$/;
const CALLED_HERE = /^\}\s*\)?\s*\(/;
const CALLED = /(?<![\w$.])([\w$]+)\s*\(/g;

// A throw counts where nothing in the suite catches it: in what runs when it begins, and in the
// functions that are called from there.
function canFail(suite) {
  const text = suite.replace(LITERALS, (all) => all.replace(/[^\n]/g, '_'));
  if (LEAVES.test(suite)) return true;
  if (!THROWS.test(text) || CATCHES_ALL.test(text)) return false;
  const functions = new Map();
  const waiting = [apart(withoutCaught(text), functions)];
  const seen = new Set();
  while (waiting.length > 0) {
    const part = waiting.pop();
    if (THROWS.test(part)) return true;
    for (const [, name] of part.matchAll(CALLED)) {
      if (functions.has(name) && !seen.has(name)) waiting.push(functions.get(name));
      seen.add(name);
    }
  }
  return false;
}

// `text` without what is tried; what is done with an error that was caught stays.
function withoutCaught(text) {
  let rest = text;
  for (let found = TRY.exec(rest); found !== null; found = TRY.exec(rest)) {
    const end = closing(rest, found.index + found[0].length, '{}');
    const behind = rest.slice(end + 1);
    const tried = CATCH.test(behind) ? '' : rest.slice(found.index + found[0].length, end);
    rest = `${rest.slice(0, found.index)}${tried};${behind.replace(CATCH, '{')}`;
  }
  return rest;
}

// `text` without its functions; those with names are put into `functions`.
function apart(text, functions) {
  let rest = text;
  let at = rest.indexOf('{');
  while (at >= 0) {
    const head = rest.slice(Math.max(0, at - 300), at);
    if (OPENS_FUNCTION.test(head) && !CALLS_IT.test(head)) {
      const end = closing(rest, at + 1, '{}');
      const body = rest.slice(at + 1, end);
      const called = NAMED.exec(head);
      if (called !== null) functions.set(called[1] ?? called[2], apart(body, functions));
      // What is called where it stands stays.
      const kept = CALLED_HERE.test(rest.slice(end)) ? apart(body, functions) : '';
      rest = `${rest.slice(0, at)}${kept};${rest.slice(end + 1)}`;
      at = rest.indexOf('{', at + kept.length);
    } else {
      at = rest.indexOf('{', at + 1);
    }
  }
  return rest;
}

module.exports = { canFail };
