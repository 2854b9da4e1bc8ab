// Command build makes a program of a solution and a suite, in the folder that it is started in.
//
//	build PREPARED            solution.go and suite.go become ./program
//	build PREPARED together   solution.go and 0/suite.go, 1/suite.go, ... become ./program
//	build PREPARED check      only says whether solution.go compiles
//
// It starts the compiler and the linker itself: what `go build` does around them, finding out what
// must be built, takes longer than building it.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

func main() {
	if err := build(os.Args[1], strings.Join(os.Args[2:], "")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func build(prepared, task string) error {
	solution, err := os.ReadFile("solution.go")
	if err != nil {
		return err
	}
	suites, err := readSuites(task)
	if err != nil {
		return err
	}
	kind, err := testifyFor(string(solution), suites)
	if err != nil {
		return err
	}
	packages, err := readPackages(filepath.Join(prepared, kind))
	if err != nil {
		return err
	}
	if task == "check" {
		files, err := alone(string(solution), packages)
		if err != nil {
			return err
		}
		return compileSolution(packages, files, true)
	}
	program, err := join(string(solution), suites, packages)
	if err != nil {
		return err
	}
	if err := compileSolution(packages, program.files, false); err != nil {
		return err
	}
	return link(packages, program.main())
}

func readSuites(task string) ([]string, error) {
	var suites []string
	switch task {
	case "check":
	case "together":
		for {
			text, err := os.ReadFile(filepath.Join(strconv.Itoa(len(suites)), suiteFile))
			if errors.Is(err, os.ErrNotExist) {
				break
			} else if err != nil {
				return nil, err
			}
			suites = append(suites, string(text))
		}
	default:
		text, err := os.ReadFile(suiteFile)
		if err != nil {
			return nil, err
		}
		suites = append(suites, string(text))
	}
	return suites, nil
}

// How the assertions are called that the light testify lacks.
var needsWhole = regexp.MustCompile(`HTTP(?:Body|Error|Redirect|StatusCode|Success)|YAMLEq|JSONEq`)

// Which of the two they need.
func testifyFor(solution string, suites []string) (string, error) {
	if needsWhole.MatchString(solution) {
		return "whole", nil
	}
	whole := 0
	for _, suite := range suites {
		if needsWhole.MatchString(suite) {
			whole++
		}
	}
	switch whole {
	case 0:
		return "light", nil
	case len(suites):
		return "whole", nil
	default:
		return "", errApart
	}
}

// The archives of packages, and the compiler's folder, as the harness has prepared them.
type packages struct {
	tools string
	// By import path: what programs may import, and everything else that they are linked with.
	open   map[string]string
	closed map[string]string
	// What the linker takes for some of them.
	linked map[string]string
}

func readPackages(folder string) (*packages, error) {
	data, err := os.ReadFile(filepath.Join(folder, "packages"))
	if err != nil {
		return nil, err
	}
	found := &packages{open: map[string]string{}, closed: map[string]string{}, linked: map[string]string{}}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		fields := strings.Split(line, "\t")
		path := fields[2]
		if !filepath.IsAbs(path) {
			path = filepath.Join(folder, path)
		}
		switch fields[0] {
		case "tools":
			found.tools = path
		case "open":
			found.open[fields[1]] = path
		case "linked":
			found.linked[fields[1]] = path
		default:
			found.closed[fields[1]] = path
		}
	}
	return found, nil
}

func writeConfig(name string, archives ...map[string]string) error {
	var text bytes.Buffer
	for _, some := range archives {
		for path, file := range some {
			fmt.Fprintf(&text, "packagefile %s=%s\n", path, file)
		}
	}
	return os.WriteFile(name, text.Bytes(), 0o644)
}

// The imports that the suite would use; without it nobody can say.
var unusedForSuite = regexp.MustCompile(
	`: (imported and not used: "(testing|github\.com/stretchr/testify/\w+)"|` +
		`"(testing|github\.com/stretchr/testify/\w+)" imported and not used)`)

func compileSolution(from *packages, files []string, forgiveUnused bool) error {
	if err := writeConfig("importcfg", from.open); err != nil {
		return err
	}
	options := []string{"-p", "solution", "-importcfg", "importcfg", "-o", "solution.a", "-pack", "-complete"}
	output, err := from.run("compile", append(options, files...))
	if err == nil {
		return nil
	}
	errorsLeft := 0
	var told []string
	for _, line := range strings.Split(strings.TrimSpace(output), "\n") {
		if forgiveUnused && unusedForSuite.MatchString(line) {
			continue
		}
		if !strings.HasPrefix(line, "\t") {
			errorsLeft++
		}
		told = append(told, line)
	}
	if forgiveUnused && errorsLeft == 0 && output != "" {
		return nil
	}
	return errors.New(strings.Join(told, "\n"))
}

func link(from *packages, main string) error {
	if err := os.WriteFile("main.go", []byte(main), 0o644); err != nil {
		return err
	}
	own := map[string]string{"solution": "solution.a"}
	if err := writeConfig("importcfg.link", from.open, from.closed, from.linked, own); err != nil {
		return err
	}
	options := []string{"-p", "main", "-importcfg", "importcfg.link", "-o", "main.a", "-pack", "-complete"}
	if output, err := from.run("compile", append(options, "main.go")); err != nil {
		return errors.New(output)
	}
	options = []string{"-importcfg", "importcfg.link", "-o", "program", "-s", "-w", "main.a"}
	if output, err := from.run("link", options); err != nil {
		return errors.New(output)
	}
	return nil
}

// Returns what the tool says.
func (from *packages) run(tool string, options []string) (string, error) {
	command := exec.Command(filepath.Join(from.tools, tool), options...)
	// One thread at a time, and no garbage collection before there is much: both are short-lived.
	command.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=384MiB")
	output, err := command.CombinedOutput()
	if err != nil && len(output) == 0 {
		return fmt.Sprintf("%s: %v", tool, err), err
	}
	return string(output), err
}
