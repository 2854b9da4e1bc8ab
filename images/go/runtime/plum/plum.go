// Package plum counts what a suite asserts, reports it, and gives the witness that the suite ran
// to its end.
//
// It is built into the standard library's place: `testing` calls it, and so does the main function
// that is made for a suite. A solution cannot import it.
package plum

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

const (
	reportFD   = 3
	tokenFD    = 4
	tokenBytes = 32
	textLength = 500
	// More failures are counted, and not told.
	toldFailures = 20
)

var (
	token    string
	chosen   int
	mu       sync.Mutex
	logged   string
	asserted int
	failures int
	finished int
	skipped  int
)

// Runs before any code of the candidate: whatever imports testing comes later.
func init() {
	var buffer [64]byte
	have := 0
	for have < len(buffer) {
		n, err := syscall.Read(tokenFD, buffer[have:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		have += n
	}
	syscall.Close(tokenFD)
	if have > tokenBytes {
		have, chosen = tokenBytes, int(buffer[tokenBytes])
	}
	token = string(buffer[:have])
	// Nobody starts it a second time, to try out which answer is right.
	if have < tokenBytes || syscall.Unlink("program") != nil {
		os.Exit(1)
	}
}

// Chosen is the number of the suite that the program is to run.
func Chosen() int {
	return chosen
}

// Begin says that the solution is loaded.
func Begin() {
	report(`{"event":"begin"}`)
}

// Tampered ends the program: the solution interfered with its judging.
func Tampered(message string) {
	report(`{"event":"stopped","verdict":"TAMPERED","phase":"LOAD","message":` + quoted(message) + "}")
	os.Exit(1)
}

// Finished is called at the end of a test that did not end early.
func Finished(wasSkipped bool) {
	mu.Lock()
	defer mu.Unlock()
	finished++
	if wasSkipped {
		skipped++
	}
}

// Asserted is called by every function that calls itself a helper; testify's do first of all.
func Asserted() {
	frames := callers(4, 2)
	helper, _ := frames.Next()
	caller, _ := frames.Next()
	if !isAssertion(helper) || isAssertion(caller) {
		return
	}
	mu.Lock()
	defer mu.Unlock()
	asserted++
}

func isAssertion(frame runtime.Frame) bool {
	return strings.HasPrefix(frame.Function, "github.com/stretchr/testify/")
}

// Logged is called with what a test logs; what it logs before it fails is why it fails.
func Logged(text string) {
	mu.Lock()
	defer mu.Unlock()
	logged = text
}

// Failed is called where a test is marked as failed.
func Failed() {
	frames := callers(4, 32)
	marker, more := frames.Next()
	if strings.HasPrefix(marker.Function, "testing.(*common).Fail") && !strings.HasSuffix(marker.Function, "FailNow") {
		return // the parent of a test that has failed
	}
	if strings.HasPrefix(marker.Function, "testing.tRunner") {
		return // a panic: it ends the program
	}
	line := 0
	for frame := marker; ; frame, more = frames.Next() {
		if strings.HasSuffix(frame.File, "suite.go") {
			line = frame.Line
			break
		}
		if !more {
			break
		}
	}
	mu.Lock()
	defer mu.Unlock()
	failures++
	if failures > toldFailures {
		return
	}
	expression, left, right := sides(logged)
	report(`{"event":"failed","line":` + strconv.Itoa(line) + `,"expression":` + quoted(expression) +
		`,"left":` + quoted(left) + `,"right":` + quoted(right) + "}")
	logged = ""
}

// Skips `skip` frames, of which Callers and this function are two.
func callers(skip, count int) *runtime.Frames {
	counters := make([]uintptr, count)
	return runtime.CallersFrames(counters[:runtime.Callers(skip, counters)])
}

// What testify says is in a table; what a suite says by itself is a line.
func sides(text string) (expression, left, right string) {
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "Error:"):
			expression = strings.TrimSpace(strings.TrimPrefix(line, "Error:"))
		case expression != "" && left == "" && strings.HasPrefix(line, "actual  :"):
			left = strings.TrimSpace(strings.TrimPrefix(line, "actual  :"))
		case expression != "" && right == "" && strings.HasPrefix(line, "expected:"):
			right = strings.TrimSpace(strings.TrimPrefix(line, "expected:"))
		}
	}
	if expression == "" {
		expression = strings.TrimSpace(text)
	}
	return expression, left, right
}

// End ends the program. It is a pass only if every one of `tests` tests finished.
//
// canFail: whether the suite has ways to fail other than testify's.
func End(code, tests int, canFail bool) {
	mu.Lock()
	if code != 0 || failures != 0 || finished != tests {
		if code == 0 {
			code = 1
		}
		os.Exit(code)
	}
	passed := asserted
	if passed == 0 && canFail {
		passed = finished - skipped
	}
	report(`{"event":"end","token":` + quoted(token) + `,"passed":` + strconv.Itoa(passed) + `,"failed":0}`)
	os.Exit(0)
}

func report(line string) {
	data := []byte(line + "\n")
	for len(data) > 0 {
		n, err := syscall.Write(reportFD, data)
		if err != nil && err != syscall.EINTR {
			return
		}
		if n > 0 {
			data = data[n:]
		}
	}
}

func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range text {
		if i >= textLength {
			break
		}
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			b.WriteByte(' ')
		case r > 0x7f:
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
