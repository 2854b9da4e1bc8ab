// Package testdeps stands in for the standard library's package of that name, by which `testing`
// reaches what it does not import itself.
//
// Without profiles and fuzzing, which no suite is run with, and with which a third of what a
// program is linked of would come.
package testdeps

import (
	"errors"
	"internal/testlog"
	"io"
	"reflect"
	"regexp"
	"time"
)

var errNotHere = errors.New("not available here")

// As `testing` has it.
type corpusEntry = struct {
	Parent     string
	Path       string
	Data       []byte
	Values     []any
	Generation int
	IsSeed     bool
}

// TestDeps is what testing.MainStart asks for.
type TestDeps struct{}

func (TestDeps) ImportPath() string { return "" }

func (TestDeps) MatchString(pattern, text string) (bool, error) {
	return regexp.MatchString(pattern, text)
}

func (TestDeps) SetPanicOnExit0(panics bool) { testlog.SetPanicOnExit0(panics) }

func (TestDeps) StartCPUProfile(io.Writer) error { return errNotHere }

func (TestDeps) StopCPUProfile() {}

func (TestDeps) WriteProfileTo(string, io.Writer, int) error { return errNotHere }

func (TestDeps) StartTestLog(io.Writer) {}

func (TestDeps) StopTestLog() error { return errNotHere }

func (TestDeps) CoordinateFuzzing(
	time.Duration, int64, time.Duration, int64, int, []corpusEntry, []reflect.Type, string, string,
) error {
	return errNotHere
}

func (TestDeps) RunFuzzWorker(func(corpusEntry) error) error { return errNotHere }

func (TestDeps) ReadCorpus(string, []reflect.Type) ([]corpusEntry, error) { return nil, errNotHere }

func (TestDeps) CheckCorpus([]any, []reflect.Type) error { return errNotHere }

func (TestDeps) ResetCoverage() {}

func (TestDeps) SnapshotCoverage() {}
