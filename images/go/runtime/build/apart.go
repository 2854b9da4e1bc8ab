package main

import (
	"errors"
	"fmt"
	"go/ast"
	"path"
	"sort"
	"strings"
)

// Says nothing of any file: the suites are compiled one by one then.
var errApart = errors.New("these suites are not compiled together")

// What no suite knows of, so that names with it are free.
const mark = "plum"

// Gives the tests of several suites names of their own, in suites of which nothing else can be seen
// by another: they declare tests only, and have the same imports used and added in the solution's
// file.
func setApart(solution string, parsed *ast.File, found []*suite, read []*parsedSuite, available *packages) error {
	if strings.Contains(solution, mark) {
		return errApart
	}
	for _, spec := range parsed.Imports {
		if spec.Name != nil && spec.Name.Name == "." {
			return errApart // who uses it cannot be told
		}
	}
	known := identifiers(parsed)
	shared := ""
	for number, tests := range read {
		seen := seenBySolution(parsed, tests, available)
		if number == 0 {
			shared = seen
		}
		apart := seen != shared || strings.Contains(tests.text, mark) || strings.Contains(tests.text, "//go:")
		if apart || !declaresTestsOnly(tests.file, found[number], known) {
			return errApart
		}
		tests.rename(found[number], number)
	}
	return nil
}

// How often each name stands in a file.
func identifiers(file *ast.File) map[string]int {
	counts := map[string]int{}
	ast.Inspect(file, func(node ast.Node) bool {
		if name, ok := node.(*ast.Ident); ok {
			counts[name.Name]++
		}
		return true
	})
	return counts
}

func declaresTestsOnly(file *ast.File, found *suite, known map[string]int) bool {
	own := identifiers(file)
	for _, test := range found.tests {
		// Called by its name nowhere, in particular not by the solution.
		if own[test.name] != 1 || known[test.name] != 0 {
			return false
		}
	}
	functions := 0
	for _, declaration := range file.Decls {
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			functions++
		case *ast.GenDecl:
			for _, spec := range declaration.Specs {
				if _, ok := spec.(*ast.ImportSpec); !ok {
					return false
				}
			}
		}
	}
	return !found.testMain && functions == len(found.tests)
}

// What of the solution's file changes with a suite that has no imports of its own: what is imported
// for it, and which of the solution's imports it uses.
func seenBySolution(solution *ast.File, tests *parsedSuite, available *packages) string {
	if !tests.needsImports() {
		return "imports"
	}
	bases := selectorBases(tests.file)
	used := selectorBases(solution)
	words := missingImports(solution, tests.file, available)
	for _, spec := range solution.Imports {
		name := path.Base(importPath(spec))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if bases[name] && !used[name] {
			words = append(words, "uses "+name)
		}
	}
	sort.Strings(words)
	return strings.Join(words, "\n")
}

func (from *parsedSuite) rename(found *suite, number int) {
	for i := range found.tests {
		found.tests[i].function = fmt.Sprintf("%s_%s%d", found.tests[i].name, mark, number)
	}
	// From the last, so that the places of those before it stay what they are.
	for i := len(from.file.Decls) - 1; i >= 0; i-- {
		function, ok := from.file.Decls[i].(*ast.FuncDecl)
		if !ok {
			continue
		}
		end := from.fset.Position(function.Name.End()).Offset
		from.text = fmt.Sprintf("%s_%s%d%s", from.text[:end], mark, number, from.text[end:])
	}
}
