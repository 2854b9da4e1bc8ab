package main

import (
	"fmt"
	"strings"
)

const mainTemplate = `package main

import (
	"flag"
	"internal/plum"
	"os"
	"reflect"
	"testing"
	"testing/internal/testdeps"

	suite "solution"
)

func main() {
	// What the solution may have asked the runner to leave out.
	os.Args = os.Args[:1]
	flag.CommandLine = flag.NewFlagSet(os.Args[0], flag.ExitOnError)
	testing.Init()
	if flag.Lookup("test.run") == nil {
		plum.Tampered("the solution has set up the flags of the tests")
	}
	plum.Begin()
	chosen := plum.Chosen()
	tests := [][]testing.InternalTest{
%s	}[chosen]
	canFail := []bool{%s}[chosen]
	m := testing.MainStart(testdeps.TestDeps{}, tests, nil, nil, nil)
	%s(m)
	code := reflect.ValueOf(m).Elem().FieldByName("exitCode").Int()
	plum.End(int(code), len(tests), canFail)
}

func run(m *testing.M) { m.Run() }
`

// The main function's source: as `go test` makes it, with a witness at its end.
func (made *program) main() string {
	var tests, canFail strings.Builder
	run := "run"
	for _, part := range made.suites {
		tests.WriteString("\t\t{\n")
		for _, test := range part.tests {
			fmt.Fprintf(&tests, "\t\t{%q, func(t *testing.T) {\n", test.name)
			fmt.Fprintf(&tests, "\t\t\tdefer func() { if t.Skipped() { plum.Finished(true) } }()\n")
			fmt.Fprintf(&tests, "\t\t\tsuite.%s(t)\n\t\t\tplum.Finished(false)\n\t\t}},\n", test.function)
		}
		tests.WriteString("\t\t},\n")
		fmt.Fprintf(&canFail, "%t, ", part.canFail)
		if part.testMain {
			run = "suite.TestMain"
		}
	}
	return fmt.Sprintf(mainTemplate, tests.String(), canFail.String(), run)
}
