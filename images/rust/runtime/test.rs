//! Stands in for the crate `test`, whose `test_main_static` the compiler calls from the main
//! function that it makes for `#[test]` functions: it counts, reports, and gives the witness that
//! the suite ran to its end.
#![feature(alloc_error_hook, min_specialization, test)]

extern crate test as real;

mod others;

use std::alloc::{set_alloc_error_hook, Layout};
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{remove_file, File};
use std::io::{Read, Write};
use std::os::unix::io::FromRawFd;
use std::panic::{catch_unwind, set_hook, take_hook, AssertUnwindSafe, Location};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::Mutex;

use others::Others;

pub use real::*;
/// What the macros below mean, whatever the candidate calls by the same names.
pub extern crate std as library;

const REPORT: i32 = 3;
const TOKEN: i32 = 4;
const TOKEN_BYTES: usize = 32;
/// The file that is run.
const PROGRAM: &str = "program";
const TEXT: usize = 1000;
/// The module that a suite is put into, but for its number; a second one of such a name does not
/// compile.
const SUITE: &str = "plum_suite";
const COUNTS_OTHERS: &str = "plum_counts_other_checks";
const CANDIDATE: &str = "program::";
const ERROR_RETURNED: &str = "the test returned a termination value with a non-zero status code";
const FAILED: i32 = 101;

static BEGAN: AtomicBool = AtomicBool::new(false);
static HELD: AtomicUsize = AtomicUsize::new(0);
static OTHER_CHECKS: AtomicUsize = AtomicUsize::new(0);
static LIED: AtomicBool = AtomicBool::new(false);
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// An assertion of the suite that was false, in whatever thread: line and words.
static FALSE: Mutex<Option<(u32, String)>> = Mutex::new(None);

thread_local! {
    static LAST_PANIC: RefCell<String> = RefCell::new(String::new());
}

extern "C" {
    fn _exit(status: i32) -> !;
    fn write(file: i32, bytes: *const u8, size: usize) -> isize;
}

const TOO_MUCH: &str = concat!(
    "{\"event\":\"stopped\",\"verdict\":\"MEMORY_LIMIT_EXCEEDED\",\"phase\":\"TEST\",",
    "\"message\":\"more memory was asked for than there is\"}\n"
);

/// What is called where there is no memory, so not even for words about it.
fn no_memory(_: Layout) {
    stay_in_first();
    // The words and their length are this function's own.
    unsafe {
        write(REPORT, TOO_MUCH.as_ptr(), TOO_MUCH.len());
        _exit(FAILED)
    }
}

/// In a copy of the program, which answer is right could be tried out: so nothing that a suite
/// asserts is said there.
fn stay_in_first() {
    if process::id() != PROCESS.load(Ordering::Relaxed) {
        // Nothing that the candidate has registered runs.
        unsafe { _exit(FAILED) }
    }
}

/// Called by the suite's macros.
pub fn held() {
    stay_in_first();
    HELD.fetch_add(1, Ordering::Relaxed);
}

/// Called by the suite: how many checks it holds that are not made by its macros.
pub fn other_checks(number: usize) {
    OTHER_CHECKS.store(number, Ordering::Relaxed);
}

/// An assertion of the suite is false, whoever catches the panic.
#[track_caller]
pub fn untrue(words: Option<fmt::Arguments>) -> ! {
    note("an assertion is false");
    fail(words.map_or(String::from("an assertion is false"), |words| words.to_string()))
}

/// The same of two values; `operator` is what does not hold between them.
#[track_caller]
pub fn unlike<L: fmt::Debug + ?Sized, R: fmt::Debug + ?Sized>(
    operator: &str,
    left: &L,
    right: &R,
    words: Option<fmt::Arguments>,
) -> ! {
    // What shows itself is the candidate's, and may not come back.
    note("an assertion is false");
    let words = words.map_or(String::new(), |words| format!(": {words}"));
    fail(format!("assertion `left {operator} right` failed{words}\n  left: {left:?}\n right: {right:?}"))
}

/// What is said of the first assertion that is false; later words about it replace earlier ones.
#[track_caller]
fn note(message: &str) {
    stay_in_first();
    let line = Location::caller().line();
    if let Ok(mut kept) = FALSE.lock() {
        match &mut *kept {
            Some((first, words)) if *first == line => *words = String::from(message),
            Some(_) => {}
            None => *kept = Some((line, String::from(message))),
        }
    }
}

#[track_caller]
fn fail(message: String) -> ! {
    note(&message);
    panic!("{message}")
}

/// Values of different types, one of them the candidate's, compare as the candidate says: so it is
/// asked for other values, too. What there are no others of is not believed.
pub fn compared<L: ?Sized, R: ?Sized>(left: &L, right: &R, equal: &dyn Fn(&L, &R) -> bool) {
    let names = (library::any::type_name::<L>(), library::any::type_name::<R>());
    let own = (own_types(names.0), own_types(names.1));
    if own.0 == own.1 || names.0 == names.1 {
        return;
    }
    let lies = if own.0.is_empty() {
        left.all_others(&|other| equal(other, right))
    } else {
        right.all_others(&|other| equal(left, other))
    };
    if lies {
        LIED.store(true, Ordering::Relaxed);
    }
}

/// The candidate's types of which the type `name` is made.
fn own_types(name: &str) -> BTreeSet<&str> {
    name.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
        .filter(|path| path.starts_with(CANDIDATE))
        .collect()
}

#[macro_export]
macro_rules! counted_assert {
    ($held:expr $(,)?) => {{ if !$held { $crate::untrue($crate::library::option::Option::None); } $crate::held(); }};
    ($held:expr, $($words:tt)+) => {{
        if !$held {
            $crate::untrue($crate::library::option::Option::Some($crate::library::format_args!($($words)+)));
        }
        $crate::held();
    }};
}

/// What an assertion of an equality becomes, where values of the candidate's may be compared.
#[macro_export]
macro_rules! counted_equality {
    ($left:expr, $right:expr) => { match (&$left, &$right) {
        (left, right) => {
            if !(*left == *right) { $crate::untrue($crate::library::option::Option::None); }
            $crate::compared(left, right, &|left, right| *left == *right);
            $crate::held();
        }
    } };
}

#[macro_export]
macro_rules! counted_comparison {
    ($operator:literal, $wanted:literal, $left:expr, $right:expr $(,)?) => {
        $crate::counted_comparison!(@ $operator, $wanted, $left, $right, $crate::library::option::Option::None)
    };
    ($operator:literal, $wanted:literal, $left:expr, $right:expr, $($words:tt)+) => {
        $crate::counted_comparison!(
            @ $operator, $wanted, $left, $right,
            $crate::library::option::Option::Some($crate::library::format_args!($($words)+))
        )
    };
    (@ $operator:literal, $wanted:literal, $left:expr, $right:expr, $words:expr) => { match (&$left, &$right) {
        (left, right) => {
            if (*left == *right) != $wanted { $crate::unlike($operator, left, right, $words); }
            $crate::compared(left, right, &|left, right| *left == *right);
            $crate::held();
        }
    } };
}

#[macro_export]
macro_rules! counted_assert_eq {
    ($($given:tt)*) => { $crate::counted_comparison!("==", true, $($given)*) };
}

#[macro_export]
macro_rules! counted_assert_ne {
    ($($given:tt)*) => { $crate::counted_comparison!("!=", false, $($given)*) };
}

struct Report {
    output: File,
    /// Not as it is sent: who searches the memory for that finds nothing.
    token: Vec<u8>,
    /// Number of the suite that is to be run.
    suite: u8,
}

impl Report {
    /// Takes the token, so that no later reader finds one.
    fn open() -> Report {
        let mut token = Vec::new();
        // Descriptors 3 and 4 are this function's by contract, and nobody else has run yet.
        let (output, mut input) = unsafe { (File::from_raw_fd(REPORT), File::from_raw_fd(TOKEN)) };
        let mut byte = [0];
        while let Ok(1) = input.read(&mut byte) {
            token.push(!byte[0]);
        }
        let chosen = token.split_off(token.len().min(TOKEN_BYTES));
        let suite = chosen.first().map_or(0, |byte| !byte);
        PROCESS.store(process::id(), Ordering::Relaxed);
        // Nobody starts it a second time.
        if token.len() < TOKEN_BYTES || remove_file(PROGRAM).is_err() {
            process::exit(FAILED);
        }
        Report { output, token, suite }
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
        let token = quoted(&self.token.iter().map(|byte| char::from(!byte)).collect::<String>());
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
    set_alloc_error_hook(no_memory);
    let mut right = true;
    let mut ran = 0;
    let module = format!("{SUITE}_{}::", report.suite);
    for test in tests {
        if let (Some(name), false) = (test.desc.name.as_slice().strip_prefix(&*module), test.desc.ignore) {
            right &= run_one(&mut report, test, &format!("{SUITE}::{name}"));
            ran += usize::from(name != COUNTS_OTHERS);
        }
    }
    stay_in_first();
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
fn run_one(report: &mut Report, test: &TestDescAndFn, name: &str) -> bool {
    let function = match test.testfn {
        StaticTestFn(function) => function,
        _ => {
            report.stopped("TEST_ERROR", "a test of an unknown kind");
            return false;
        }
    };
    let ended = catch_unwind(AssertUnwindSafe(|| function().failure()));
    let seen = FALSE.lock().ok().and_then(|mut kept| kept.take());
    match (ended, test.desc.should_panic) {
        (Ok(None), ShouldPanic::No) => match seen {
            Some((line, message)) => report.failed(line, &message),
            None => return true,
        },
        (Ok(Some(failure)), ShouldPanic::No) => report.failed(0, &format!("{name}: {failure}")),
        (Err(_), ShouldPanic::No) => match seen {
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
