package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"
)

const (
	solutionFile = "solution.go"
	suiteFile    = "suite.go"
)

// With this a program can write its own memory, the witness's token in it, to a file.
const heapDump = "WriteHeapDump"

// Names that a suite relies on, although a package may give them other meanings.
var predeclared = names(`any append bool byte cap close comparable complex complex64 complex128 copy
delete error false float32 float64 imag int int8 int16 int32 int64 iota len make new nil panic print
println real recover rune string true uint uint8 uint16 uint32 uint64 uintptr`)

// How a suite can say that a value is wrong, without testify.
var verbs = names("Error Errorf Fail FailNow Fatal Fatalf")

func names(list string) map[string]bool {
	found := map[string]bool{}
	for _, name := range strings.Fields(list) {
		found[name] = true
	}
	return found
}

// What is compiled, and what the main function must know of it.
type program struct {
	files  []string
	suites []*suite
}

// What the main function must know of a suite.
type suite struct {
	tests []test
	// Only of a suite that is alone in its program.
	testMain bool
	canFail  bool
}

type test struct {
	name string
	// What it is called in the program.
	function string
}

// Writes the solution as a file of its own.
func alone(solution string, available *packages) ([]string, error) {
	if _, _, err := parseSolution(solution, available); err != nil {
		return nil, err
	}
	return []string{solutionFile}, nil
}

// Writes the files of a package with the solution and its suites in it; errApart where several would
// not mean in it what each means alone.
//
// A suite without imports of its own is the end of the solution's file, as its author meant it:
// both use what the solution imports, and what only the suite needs is imported for it.
func join(solution string, texts []string, available *packages) (*program, error) {
	fset, parsed, err := parseSolution(solution, available)
	if err != nil {
		return nil, err
	}
	made := &program{files: []string{solutionFile}}
	var read []*parsedSuite
	for _, text := range texts {
		tests, err := parseSuite(text, parsed.Name.Name, available)
		if err != nil {
			return nil, err
		}
		if err := keepsNames(fset, parsed, tests.file, tests.needsImports(), available); err != nil {
			return nil, err
		}
		if err := keepsVariables(fset, parsed, tests.file, available); err != nil {
			return nil, err
		}
		found := look(tests.file)
		if len(found.tests) == 0 {
			return nil, fmt.Errorf("%s:1:1: there is no test function", suiteFile)
		}
		made.suites = append(made.suites, found)
		read = append(read, tests)
	}
	if len(texts) > 1 {
		if err := setApart(solution, parsed, made.suites, read, available); err != nil {
			return nil, err
		}
	}
	if read[0].needsImports() {
		end := fset.Position(parsed.Name.End()).Offset
		return made, writeJoined(solution, end, missingImports(parsed, read[0].file, available), read)
	}
	for number, tests := range read {
		name := fmt.Sprintf("tests%d.go", number)
		made.files = append(made.files, name)
		if err := os.WriteFile(name, []byte("//line "+suiteFile+":1\n"+tests.text), 0o644); err != nil {
			return nil, err
		}
	}
	return made, nil
}

func writeJoined(solution string, end int, missing []string, read []*parsedSuite) error {
	var joined bytes.Buffer
	joined.WriteString(solution[:end])
	for _, wanted := range missing {
		fmt.Fprintf(&joined, "; import %q", wanted)
	}
	joined.WriteString(solution[end:])
	for _, tests := range read {
		joined.WriteString("\n//line " + suiteFile + ":1\n" + tests.text[tests.offset:])
	}
	return os.WriteFile(solutionFile, joined.Bytes(), 0o644)
}

func parseSolution(text string, available *packages) (*token.FileSet, *ast.File, error) {
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, solutionFile, text, 0)
	if err != nil {
		return nil, nil, told(err)
	}
	if strings.Contains(text, heapDump) {
		return nil, nil, fmt.Errorf("%s:1:1: %s is not available here", solutionFile, heapDump)
	}
	return fset, parsed, checkImports(fset, parsed, available)
}

// A suite as a file of the solution's package.
type parsedSuite struct {
	text string
	// Where in it the suite's own code begins.
	offset int
	fset   *token.FileSet
	file   *ast.File
}

func (from *parsedSuite) needsImports() bool {
	return len(from.file.Imports) == 0
}

func parseSuite(text, name string, available *packages) (*parsedSuite, error) {
	fset := token.NewFileSet()
	offset := 0
	if clause, err := parser.ParseFile(fset, suiteFile, text, parser.PackageClauseOnly); err != nil {
		head := "package " + name + "; "
		text, offset = head+text, len(head)
	} else {
		start := fset.Position(clause.Name.Pos()).Offset
		end := fset.Position(clause.Name.End()).Offset
		text = text[:start] + name + text[end:]
		offset = start + len(name)
	}
	parsed, err := parser.ParseFile(fset, suiteFile, text, 0)
	if err != nil {
		return nil, told(err)
	}
	if err := checkImports(fset, parsed, available); err != nil {
		return nil, err
	}
	return &parsedSuite{stayInTestMain(fset, parsed, text), offset, fset, parsed}, nil
}

// The suite with `_ =` for `os.Exit` in TestMain: the witness is given after it, as the program's
// status is since Go 1.15.
func stayInTestMain(fset *token.FileSet, suite *ast.File, text string) string {
	changed := []byte(text)
	for _, declaration := range suite.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Name.Name != "TestMain" {
			continue
		}
		ast.Inspect(function, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok {
				at, end := fset.Position(call.Fun.Pos()).Offset, fset.Position(call.Fun.End()).Offset
				if text[at:end] == "os.Exit" {
					copy(changed[at:end], "_ =    ")
				}
			}
			return true
		})
	}
	if string(changed) == text {
		return text
	}
	return string(changed) + "\nvar _ = os.Exit\n"
}

// A parser's errors in the compiler's words.
func told(err error) error {
	var list scanner.ErrorList
	if !errors.As(err, &list) {
		return err
	}
	lines := make([]string, len(list))
	for i, one := range list {
		lines[i] = fmt.Sprintf("%s: syntax error: %s", one.Pos, one.Msg)
	}
	return errors.New(strings.Join(lines, "\n"))
}

func checkImports(fset *token.FileSet, file *ast.File, available *packages) error {
	for _, spec := range file.Imports {
		wanted := importPath(spec)
		if _, ok := available.open[wanted]; !ok {
			return fmt.Errorf("%s: package %s is not available here", fset.Position(spec.Pos()), wanted)
		}
	}
	return nil
}

func importPath(spec *ast.ImportSpec) string {
	wanted, _ := strconv.Unquote(spec.Path.Value)
	return wanted
}

// An error where the solution gives another meaning to a name that the suite uses: a predeclared
// one, or, where the suite imports nothing itself, a package's.
func keepsNames(fset *token.FileSet, solution, suite *ast.File, needsImports bool, available *packages) error {
	used := map[string]bool{}
	ast.Inspect(suite, func(node ast.Node) bool {
		if name, ok := node.(*ast.Ident); ok {
			used[name.Name] = true
		}
		return true
	})
	bases := selectorBases(suite)
	meant := func(name string) bool {
		return predeclared[name] && used[name] ||
			needsImports && bases[name] && available.byName(name) != ""
	}
	for name, object := range solution.Scope.Objects {
		if meant(name) {
			return fmt.Errorf("%s: the suite needs %s as it is", fset.Position(object.Pos()), name)
		}
	}
	for _, spec := range solution.Imports {
		name, wanted := path.Base(importPath(spec)), importPath(spec)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if predeclared[name] || spec.Name != nil && meant(name) && !available.couldBe(name, wanted) {
			return fmt.Errorf("%s: the suite needs %s as it is", fset.Position(spec.Pos()), name)
		}
	}
	return nil
}

// The names before a dot that the suite does not declare itself.
func selectorBases(suite *ast.File) map[string]bool {
	free := map[*ast.Ident]bool{}
	for _, name := range suite.Unresolved {
		free[name] = true
	}
	found := map[string]bool{}
	ast.Inspect(suite, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if base, ok := selector.X.(*ast.Ident); ok && free[base] {
				found[base.Name] = true
			}
		}
		return true
	})
	return found
}

func missingImports(solution, suite *ast.File, available *packages) []string {
	have := map[string]bool{}
	for _, spec := range solution.Imports {
		if spec.Name != nil {
			have[spec.Name.Name] = true
		} else {
			have[path.Base(importPath(spec))] = true
		}
	}
	var missing []string
	for name := range selectorBases(suite) {
		if wanted := available.byName(name); wanted != "" && !have[name] {
			missing = append(missing, wanted)
		}
	}
	sort.Strings(missing)
	return missing
}

// The package that a name alone stands for: testify's, else the one with the shortest path.
func (from *packages) byName(name string) string {
	best := ""
	for wanted := range from.open {
		if !from.couldBe(name, wanted) {
			continue
		}
		shorter := len(wanted) < len(best) || len(wanted) == len(best) && wanted < best
		if best == "" || shorter {
			best = wanted
		}
	}
	return best
}

func (from *packages) couldBe(name, wanted string) bool {
	return path.Base(wanted) == name && from.open[wanted] != ""
}

// Finds the suite's tests, and whether it can fail.
func look(file *ast.File) *suite {
	made := &suite{}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Recv != nil {
			continue
		}
		switch name := function.Name.Name; {
		case name == "TestMain":
			made.testMain = true
		case strings.HasPrefix(name, "Test") && isTest(function):
			made.tests = append(made.tests, test{name, name})
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.SelectorExpr:
			made.canFail = made.canFail || verbs[node.Sel.Name]
		case *ast.CallExpr:
			function, ok := node.Fun.(*ast.Ident)
			made.canFail = made.canFail || ok && function.Name == "panic"
		}
		return true
	})
	return made
}

func isTest(function *ast.FuncDecl) bool {
	rest := strings.TrimPrefix(function.Name.Name, "Test")
	parameters := function.Type.Params.List
	return (rest == "" || rest[0] < 'a' || rest[0] > 'z') && len(parameters) == 1 &&
		len(parameters[0].Names) <= 1
}
