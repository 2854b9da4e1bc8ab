"use strict";
// Everything shown here was written by models. It only ever becomes text: no innerHTML.
(() => {
  const holder = document.getElementById("problems");
  const list = document.getElementById("list");
  const detail = document.getElementById("detail");
  const filter = document.getElementById("filter");
  if (!list || !detail || !filter) return;
  const problems = JSON.parse(holder.textContent);

  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined && text !== null) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const add = (parent, ...children) => {
    children.forEach((child) => parent.appendChild(child));
    return parent;
  };
  const chip = (text, kind) => make("span", text, kind ? `chip ${kind}` : "chip");
  const labelChip = (label) =>
    label === true ? chip("desirable", "good") : label === false ? chip("undesirable", "bad") : chip("dropped");
  const verdictKind = (verdict) =>
    verdict === "PASSED" ? "good" : verdict === "ASSERTION_FAILED" ? "bad" : "";
  const titled = (title, text) => [make("h3", title), make("pre", text)];

  const foldable = (title, chips, build) => {
    const element = make("details");
    add(element, add(make("summary", title), ...chips));
    // Built when opened: a page of thousands of candidates stays quick.
    element.addEventListener("toggle", () => {
      if (element.open && element.childElementCount === 1) add(element, ...build());
    });
    return element;
  };

  const executionView = (execution) => {
    const verdict = execution.verdict || "NOT EXECUTED";
    const box = make("div");
    const line = add(make("div", `Suite ${execution.suite_id} `), chip(verdict, verdictKind(verdict)));
    if (execution.phase) add(line, chip(execution.phase));
    if (execution.proof) add(line, chip(`proof: ${execution.proof}`));
    add(box, line);
    if (execution.message) add(box, make("div", execution.message, "quiet"));
    if (execution.failure) {
      const failure = execution.failure;
      const text = failure.right ? `left   ${failure.left}\nright  ${failure.right}` : `value  ${failure.left}`;
      add(box, make("pre", `line ${failure.line}: ${failure.expression}\n${text}`, "failure"));
    }
    return box;
  };

  const candidateView = (candidate) =>
    foldable(`Candidate ${candidate.index}`, [labelChip(candidate.label), make("span", ` ${candidate.reason}`, "quiet")], () => {
      const parts = titled("Source", candidate.source === null ? "no code in the completion" : candidate.source);
      if (candidate.completion !== candidate.source) parts.push(...titled("Completion", candidate.completion));
      if (candidate.diagnostics.length) parts.push(...titled("Static check", candidate.diagnostics.join("\n")));
      if (candidate.executions.length) parts.push(make("h3", "Executions"), ...candidate.executions.map(executionView));
      return parts;
    });

  const suiteView = (suite) =>
    foldable(`Suite ${suite.id}`, [chip(suite.kept ? "kept" : "left out", suite.kept ? "good" : ""), make("span", ` ${suite.reason}`, "quiet")], () => [
      ...titled("Assertions", suite.text),
      ...titled("Reference solution", suite.reference),
    ]);

  const show = (problem) => {
    detail.replaceChildren(make("h2", problem.id), make("pre", problem.instruction));
    if (problem.suites.length) add(detail, make("h3", "Suites"), ...problem.suites.map(suiteView));
    if (problem.candidates.length) add(detail, make("h3", "Candidates"), ...problem.candidates.map(candidateView));
    if (problem.more_candidates) add(detail, make("p", `${problem.more_candidates} more candidates are not on this page.`, "quiet"));
    for (const button of list.querySelectorAll("button")) {
      button.setAttribute("aria-current", String(button.dataset.id === problem.id));
    }
  };

  const entry = (problem) => {
    const button = make("button");
    button.type = "button";
    button.dataset.id = problem.id;
    const good = problem.candidates.filter((candidate) => candidate.label === true).length;
    add(button, make("span", problem.id), chip(`${good}/${problem.candidates.length}`, good ? "good" : ""));
    button.addEventListener("click", () => show(problem));
    return add(make("li"), button);
  };

  const refresh = () => {
    const wanted = filter.value.toLowerCase();
    const found = problems.filter(
      (problem) => problem.id.toLowerCase().includes(wanted) || problem.instruction.toLowerCase().includes(wanted));
    list.replaceChildren(...found.map(entry));
    if (found.length) show(found[0]);
    else detail.replaceChildren(make("p", "No problem matches.", "quiet"));
  };
  // In the address, #problem/ID or #problem/ID/INDEX shows a problem, and unfolds a candidate of
  // it; #find/TEXT filters.
  const follow = () => {
    const [kind, id, index] = location.hash.slice(1).split("/").map(decodeURIComponent);
    if (kind === "find") {
      filter.value = id;
      refresh();
    }
    const problem = kind === "problem" && problems.find((one) => one.id === id);
    if (!problem) return;
    show(problem);
    const views = detail.querySelectorAll("details");
    const place = problem.candidates.findIndex((candidate) => String(candidate.index) === index);
    if (place >= 0) views[problem.suites.length + place].open = true;
  };

  filter.addEventListener("input", refresh);
  window.addEventListener("hashchange", follow);
  refresh();
  follow();
})();
