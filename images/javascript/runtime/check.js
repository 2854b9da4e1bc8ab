// Says whether the solution is JavaScript, without running it.
'use strict';

const fs = require('fs');
const { compileScript } = require('./scripts.js');

try {
  compileScript(fs.readFileSync('solution.js', 'utf8'), 'solution.js');
} catch (error) {
  const line = /:(\d+)/.exec(String(error.stack));
  console.error(`solution.js:${line ? line[1] : 1}: ${error.name}: ${error.message}`);
  process.exitCode = 1;
}
