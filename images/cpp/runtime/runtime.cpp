// The part of every judged program that is not the candidate's: it counts, reports, and gives the
// witness that the suite ran to its end.
//
// Linked before everything else. It calls no function of a library, since a program may put its
// own in the place of any of them, and shows no name that is not needed.

namespace {

constexpr int kReport = 3;
constexpr int kToken = 4;
constexpr int kTokenBytes = 32;
constexpr int kAborted = 134;
constexpr long kHere = -100;  // the folder that a path is in

#if defined(__x86_64__)
constexpr long kRead = 0, kWrite = 1, kClose = 3, kGetpid = 39, kExitGroup = 231, kUnlinkat = 263;
long call(long number, long a, long b = 0, long c = 0) {
  long result;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c)
               : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
constexpr long kRead = 63, kWrite = 64, kClose = 57, kGetpid = 172, kExitGroup = 94, kUnlinkat = 35;
long call(long number, long a, long b = 0, long c = 0) {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
}
#else
#error "system calls of this processor are not known"
#endif

// Not as it is sent: who searches the memory for that finds nothing.
char token[kTokenBytes];
// Where the program holds several suites: the one that it is to run.
unsigned char chosen;
unsigned held;
unsigned began;
long process;

// One line of the report, as JSON.
class Line {
 public:
  Line& text(const char* plain) {
    while (*plain != '\0') put(*plain++);
    return *this;
  }
  Line& number(unsigned value) {
    char digits[12];
    int count = 0;
    do {
      digits[count++] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    while (count != 0) put(digits[--count]);
    return *this;
  }
  Line& quoted(const char* value) {
    put('"');
    for (int i = 0; value[i] != '\0' && i < 500; ++i) {
      const unsigned char c = static_cast<unsigned char>(value[i]);
      if (c == '"' || c == '\\') put('\\');
      put(c < 0x20 || c > 0x7e ? '?' : value[i]);
    }
    put('"');
    return *this;
  }
  Line& secret() {
    put('"');
    for (char c : token) put(static_cast<char>(~c));
    put('"');
    return *this;
  }
  void send() {
    put('\n');
    call(kWrite, kReport, reinterpret_cast<long>(bytes_), size_);
  }

 private:
  void put(char c) {
    if (size_ < static_cast<int>(sizeof bytes_)) bytes_[size_++] = c;
  }
  char bytes_[2048];
  int size_ = 0;
};

// In a copy of the program, which answer is right could be tried out: so nothing that a suite
// asserts is said there.
void stay_in_first() {
  while (call(kGetpid, 0) != process) call(kExitGroup, kAborted);
}

// Before the constructors of anything that is linked in.
void take_token(int, char**, char**) {
  int have = 0;
  while (have < kTokenBytes) {
    const long got =
        call(kRead, kToken, reinterpret_cast<long>(token + have), kTokenBytes - have);
    if (got <= 0) break;
    have += static_cast<int>(got);
  }
  while (have < kTokenBytes) call(kExitGroup, kAborted);
  for (char& c : token) c = static_cast<char>(~c);
  call(kRead, kToken, reinterpret_cast<long>(&chosen), 1);
  call(kClose, kToken);
  // Nobody starts it a second time.
  call(kUnlinkat, kHere, reinterpret_cast<long>("program"));
  process = call(kGetpid, 0);
}

__attribute__((section(".preinit_array"), used)) void (*const at_start)(int, char**, char**) =
    take_token;

void say(const char* text) {
  long size = 0;
  while (text[size] != '\0') ++size;
  call(kWrite, 2, reinterpret_cast<long>(text), size);
}

// Where a program holds several suites, their main functions have names of their own.
bool is_of_suites(const char* function) {
  for (const char* at = function; *at != '\0'; ++at) {
    const char* name = "plum_";
    const char* here = at;
    while (*name != '\0' && *here == *name) ++here, ++name;
    if (*name == '\0') return true;
  }
  return false;
}

}  // namespace

// Of the suite's part: how many checks of other kinds than assert it is taken to hold, and
// whether values are still compared as they should be.
extern "C" {
int plum_other_checks();
bool plum_compares_right();
}

// A number that no candidate knows beforehand, and that does not tell the token.
extern "C" unsigned plum_chance() noexcept {
  static unsigned calls;
  unsigned hash = 2166136261U ^ ++calls;
  for (char c : token) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash;
}

// By which a main function for several suites finds the one that is to run.
extern "C" unsigned plum_chosen() noexcept { return chosen; }

extern "C" void plum_held(int side) noexcept {
  if (side != 1) return;
  stay_in_first();
  __atomic_fetch_add(&held, 1, __ATOMIC_RELAXED);
}

extern "C" [[noreturn]] void plum_failed(int side, const char* expression, const char* file,
                                         int line, const char* function) noexcept {
  if (side == 1) stay_in_first();
  char digits[12];
  int at = sizeof digits - 1;
  digits[at] = '\0';
  for (int rest = line; at == static_cast<int>(sizeof digits) - 1 || rest != 0; rest /= 10) {
    digits[--at] = static_cast<char>('0' + rest % 10);
  }
  if (side == 1 && is_of_suites(function)) function = "int main()";
  const bool told = *expression != '\0';
  const char* parts[] = {file,          ":", digits + at,        ": ", function,
                         ": Assertion", told ? " `" : "", expression, told ? "'" : "", " failed.\n"};
  for (const char* part : parts) say(part);
  if (side == 1) {
    Line()
        .text("{\"event\":\"failed\",\"line\":")
        .number(static_cast<unsigned>(line))
        .text(",\"expression\":")
        .quoted(expression)
        .text("}")
        .send();
  } else {
    Line()
        .text("{\"event\":\"stopped\",\"verdict\":\"RUNTIME_ERROR\",\"phase\":")
        .quoted(began != 0 ? "TEST" : "LOAD")
        .text(",\"message\":")
        .quoted("an assertion in the solution is false")
        .text("}")
        .send();
  }
  for (;;) call(kExitGroup, kAborted);
}

extern "C" int __real_main(int argc, char** argv, char** environment);

extern "C" int __wrap_main(int argc, char** argv, char** environment) {
  while (__atomic_exchange_n(&began, 1, __ATOMIC_RELAXED) != 0) call(kExitGroup, kAborted);
  Line().text("{\"event\":\"begin\"}").send();
  const int result = __real_main(argc, argv, environment);
  stay_in_first();
  if (result != 0) {
    Line()
        .text("{\"event\":\"failed\",\"line\":0,\"expression\":\"main returned ")
        .number(static_cast<unsigned>(result) & 0xff)
        .text("\"}")
        .send();
    return result;
  }
  if (!plum_compares_right()) {
    Line()
        .text("{\"event\":\"stopped\",\"verdict\":\"TAMPERED\",\"phase\":\"TEST\",\"message\":")
        .quoted("what the solution returns is equal to other values than the right one, too")
        .text("}")
        .send();
    return 1;
  }
  const unsigned total = held + static_cast<unsigned>(held == 0 ? plum_other_checks() : 0);
  Line()
      .text("{\"event\":\"end\",\"token\":")
      .secret()
      .text(",\"passed\":")
      .number(total)
      .text(",\"failed\":0}")
      .send();
  return 0;
}
