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
#ifndef PLUM_EXAMINE
#define PLUM_EXAMINE(...)
#define PLUM_TEXT(text) text
#endif

#undef assert
#ifdef NDEBUG
#define assert(...) (static_cast<void>(0))
#else
// PLUM_SIDE, where it is used: 0 in the solution, 1 in the suite.
#define assert(...)                                                                         \
  (static_cast<bool>(__VA_ARGS__)                                                           \
       ? PLUM_EXAMINE(__VA_ARGS__) plum_held(PLUM_SIDE)                                      \
       : plum_failed(PLUM_SIDE, PLUM_TEXT(#__VA_ARGS__), __FILE__, __LINE__,                 \
                     __PRETTY_FUNCTION__))
#endif
