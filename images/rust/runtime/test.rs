//! Stands in for the crate `test`, whose `test_main_static` the compiler calls from the main
//! function that it makes for `#[test]` functions: it counts, reports, and gives the witness that
//! the suite ran to its end.
#![feature(test)]

extern crate test as real;

use std::any::Any;
use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::io::FromRawFd;
use std::panic::{catch_unwind, set_hook, take_hook, AssertUnwindSafe};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Mutex;

pub use real::*;
/// What the macros below mean, whatever the candidate calls by the same names.
pub extern crate std as library;

const REPORT: i32 = 3;
const TOKEN: i32 = 4;
const TEXT: usize = 1000;
/// The module that the suite is put into; a second one of this name does not compile.
const SUITE: &str = "plum_suite::";
const SUITE_FILE: &str = "suite.rs";
const COUNTS_OTHERS: &str = "plum_suite::plum_counts_other_checks";
const CANDIDATE: &str = "program::";
const ERROR_RETURNED: &str = "the test returned a termination value with a non-zero status code";
const FAILED: i32 = 101;

static BEGAN: AtomicBool = AtomicBool::new(false);
static HELD: AtomicUsize = AtomicUsize::new(0);
static OTHER_CHECKS: AtomicUsize = AtomicUsize::new(0);
static LIED: AtomicBool = AtomicBool::new(false);
/// An assertion of the suite that was false, in whatever thread: line and words.
static FALSE: Mutex<Option<(u32, String)>> = Mutex::new(None);

thread_local! {
    static LAST_PANIC: RefCell<String> = RefCell::new(String::new());
}

/// Called by the suite's macros.
pub fn held() {
    HELD.fetch_add(1, Ordering::Relaxed);
}

/// Called by the suite: how many checks it holds that are not made by its macros.
pub fn other_checks(number: usize) {
    OTHER_CHECKS.store(number, Ordering::Relaxed);
}

/// Values of different types, one of them the candidate's, compare as the candidate says.
pub fn compared<L: ?Sized, R: ?Sized>(_: &L, _: &R) {
    let (left, right) = (library::any::type_name::<L>(), library::any::type_name::<R>());
    if left != right && (left.contains(CANDIDATE) || right.contains(CANDIDATE)) {
        LIED.store(true, Ordering::Relaxed);
    }
}

#[macro_export]
macro_rules! counted_assert {
    ($($given:tt)*) => {{ $crate::library::assert!($($given)*); $crate::held(); }};
}

#[macro_export]
macro_rules! counted_assert_eq {
    ($left:expr, $right:expr $(, $($rest:tt)*)?) => { match (&$left, &$right) {
        (left, right) => {
            $crate::library::assert_eq!(*left, *right $(, $($rest)*)?);
            $crate::compared(left, right);
            $crate::held();
        }
    } };
}

#[macro_export]
macro_rules! counted_assert_ne {
    ($left:expr, $right:expr $(, $($rest:tt)*)?) => { match (&$left, &$right) {
        (left, right) => {
            $crate::library::assert_ne!(*left, *right $(, $($rest)*)?);
            $crate::compared(left, right);
            $crate::held();
        }
    } };
}

struct Report {
    output: File,
    token: String,
}

impl Report {
    /// Takes the token, so that no later reader finds one.
    fn open() -> Report {
        let mut token = String::new();
        // Descriptors 3 and 4 are this function's by contract, and nobody else has run yet.
        let (output, mut input) = unsafe { (File::from_raw_fd(REPORT), File::from_raw_fd(TOKEN)) };
        let _ = input.read_to_string(&mut token);
        Report { output, token }
    }

    fn write(&mut self, event: String) {
        let _ = self.output.write_all(format!("{{{event}}}\n").as_bytes());
    }

    fn failed(&mut self, line: u32, expression: &str) {
        let expression = quoted(expression);
        self.write(format!("\"event\":\"failed\",\"line\":{line},\"expression\":{expression}"));
    }

    fn stopped(&mut self, verdict: &str, message: &str) {
        let message = quoted(message);
        self.write(format!(
            "\"event\":\"stopped\",\"verdict\":\"{verdict}\",\"phase\":\"TEST\",\"message\":{message}"
        ));
    }

    fn end(&mut self, passed: usize) {
        let token = quoted(&self.token);
        self.write(format!("\"event\":\"end\",\"token\":{token},\"passed\":{passed},\"failed\":0"));
    }
}

fn quoted(text: &str) -> String {
    let mut made = String::from("\"");
    for c in text.chars().take(TEXT) {
        match c {
            '"' | '\\' => made.extend(['\\', c]),
            ' '..='~' => made.push(c),
            '\n' => made.push(' '),
            _ => made.push('?'),
        }
    }
    made + "\""
}

/// What a test function returns; older compilers make it return nothing.
trait Outcome {
    fn failure(self) -> Option<String>;
}

impl Outcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl Outcome for Result<(), String> {
    fn failure(self) -> Option<String> {
        self.err()
    }
}

/// What the compiler's main function calls. Only once: a candidate can call it too.
pub fn test_main_static(tests: &[&TestDescAndFn]) {
    if BEGAN.swap(true, Ordering::Relaxed) {
        process::abort();
    }
    let mut report = Report::open();
    report.write(String::from("\"event\":\"begin\""));
    watch_panics();
    let mut right = true;
    let mut ran = 0;
    for test in tests.iter().filter(|test| test.desc.name.as_slice().starts_with(SUITE)) {
        if !test.desc.ignore {
            right &= run_one(&mut report, test);
            ran += usize::from(test.desc.name.as_slice() != COUNTS_OTHERS);
        }
    }
    if !right {
        process::exit(FAILED);
    }
    if LIED.load(Ordering::Relaxed) {
        report.stopped("TAMPERED", "the solution's own type was compared with one that is not");
        process::exit(FAILED);
    }
    let held = HELD.load(Ordering::Relaxed);
    let others = usize::from(OTHER_CHECKS.load(Ordering::Relaxed) != 0);
    let passed = if held == 0 { others } else { held };
    report.end(if ran == 0 { 0 } else { passed });
    process::exit(0);
}

fn watch_panics() {
    let shown = take_hook();
    set_hook(Box::new(move |info| {
        let message = words(info.payload());
        if let Some(place) = info.location() {
            if place.file().ends_with(SUITE_FILE) && message.starts_with("assertion") {
                if let Ok(mut kept) = FALSE.lock() {
                    kept.get_or_insert((place.line(), message.clone()));
                }
            }
            let known = format!("{}:{}: {message}", place.file(), place.line());
            LAST_PANIC.with(|last| *last.borrow_mut() = known);
        }
        shown(info);
    }));
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| String::from(*text));
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

fn report_panic(report: &mut Report, name: &str) {
    let last = LAST_PANIC.with(|last| last.borrow().clone());
    // How older compilers say that a test's result is an error.
    if last.contains(ERROR_RETURNED) {
        report.failed(0, &format!("{name}: {ERROR_RETURNED}"));
    } else {
        report.stopped("RUNTIME_ERROR", &format!("{name} panicked: {last}"));
    }
}

/// Whether the test came out as it should; reports what did not.
fn run_one(report: &mut Report, test: &TestDescAndFn) -> bool {
    let function = match test.testfn {
        StaticTestFn(function) => function,
        _ => {
            report.stopped("TEST_ERROR", "a test of an unknown kind");
            return false;
        }
    };
    let name = test.desc.name.as_slice();
    let ended = catch_unwind(AssertUnwindSafe(|| function().failure()));
    let seen = FALSE.lock().ok().and_then(|mut kept| kept.take());
    match (ended, test.desc.should_panic) {
        (Ok(None), ShouldPanic::No) => match seen {
            Some((line, message)) => report.failed(line, &message),
            None => return true,
        },
        (Ok(Some(failure)), ShouldPanic::No) => report.failed(0, &format!("{name}: {failure}")),
        (Err(payload), ShouldPanic::No) => match seen {
            Some((line, message)) => report.failed(line, &message),
            None => report_panic(report, name),
        },
        (Err(payload), ShouldPanic::YesWithMessage(part)) if !words(&*payload).contains(part) => {
            report.failed(0, &format!("{name} panicked without the words {part:?}"));
        }
        (Err(_), _) => {
            held();
            return true;
        }
        (Ok(_), _) => report.failed(0, &format!("{name} did not panic as it should")),
    }
    false
}
