// Stands in for the C library's <assert.h>: what a suite asserts is counted and reported.
// No guard, as there: each inclusion looks at NDEBUG again.
#ifndef PLUM_ASSERT_H
#define PLUM_ASSERT_H
extern "C" {
void plum_held(int side) noexcept;
[[noreturn]] void plum_failed(int side, const char* expression, const char* file, int line,
                              const char* function) noexcept;
}
#endif
#ifndef PLUM_HOLDS
#define PLUM_HOLDS(...) static_cast<bool>(__VA_ARGS__)
#define PLUM_TEXT(text) text
#endif
// In the suite these have names that a solution does not know.
#ifndef PLUM_HELD
#define PLUM_HELD plum_held
#define PLUM_FAILED plum_failed
#endif

#undef assert
#ifdef NDEBUG
#define assert(...) (static_cast<void>(0))
#else
// PLUM_SIDE, where it is used: 0 in the solution, 1 in the suite.
#define assert(...)                                                                         \
  (PLUM_HOLDS(__VA_ARGS__)                                                                  \
       ? PLUM_HELD(PLUM_SIDE)                                                               \
       : PLUM_FAILED(PLUM_SIDE, PLUM_TEXT(#__VA_ARGS__), __FILE__, __LINE__,                 \
                     __PRETTY_FUNCTION__))
#endif
