// Included between a solution and its suite, where the solution defines operators: what an
// assertion compares is asked more, since it may be equal to anything.
//
// Global names, as a suite's own: operators are looked up here as they are there.
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>

extern "C" unsigned plum_chance() noexcept;
static bool plum_lied = false;

constexpr bool plum_same(const char* word, unsigned long length, const char* other) {
  for (unsigned long i = 0; i < length; ++i) {
    if (other[i] != word[i]) return false;
  }
  return other[length] == '\0';
}

constexpr bool plum_is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Whether the type is made of something that is neither the language's nor the library's.
template <class T>
constexpr bool plum_own() {
  const char* const words[] = {"bool",     "char",     "char16_t", "char32_t", "const",  "double",
                               "float",    "int",      "long",     "short",    "signed", "unsigned",
                               "volatile", "__int128", "wchar_t",  "void",     "nullptr"};
  const char* at = __PRETTY_FUNCTION__;  // ... [with T = ...]
  while (*at != '=') ++at;
  while (*at != '\0') {
    const char* end = at;
    while (plum_is_name(*end)) ++end;
    const unsigned long length = end - at;
    if (length == 0) {
      ++at;
    } else if (plum_same(at, length, "std") || plum_same(at, length, "__gnu_cxx")) {
      while (plum_is_name(*end) || *end == ':') ++end;
      at = end;
    } else {
      bool known = *at >= '0' && *at <= '9';
      for (const char* word : words) known = known || plum_same(at, length, word);
      if (!known) return true;
      at = end;
    }
  }
  return false;
}

// A value of T that is another for another `n` below 97; nothing for types that are not simple.
template <class T, class = void>
struct PlumSome {
  static constexpr bool known = false;
};
template <class T>
struct PlumSome<T, std::enable_if_t<std::is_arithmetic_v<T>>> {
  static constexpr bool known = true;
  static T make(unsigned n) { return static_cast<T>(std::is_same_v<T, bool> ? n % 2 : n + 1); }
};
template <class A, class B>
struct PlumSome<std::pair<A, B>, void> {
  using First = PlumSome<std::remove_cv_t<A>>;
  using Second = PlumSome<std::remove_cv_t<B>>;
  static constexpr bool known = First::known && Second::known;
  static auto make(unsigned n) {
    return std::pair<std::remove_cv_t<A>, std::remove_cv_t<B>>(First::make(n), Second::make(n));
  }
};
template <class T>
struct PlumSome<T, std::void_t<typename T::value_type, decltype(std::declval<T&>().insert(
                       std::declval<T&>().end(), std::declval<typename T::value_type>()))>> {
  using Item = PlumSome<std::remove_cv_t<typename T::value_type>>;
  static constexpr bool known = Item::known && std::is_default_constructible_v<T>;
  static T make(unsigned n) {
    T made;
    made.insert(made.end(), Item::make(n));
    return made;
  }
};

#define PLUM_COMPARE(name, operation)                                                         \
  struct name {                                                                                \
    template <class A, class B>                                                                \
    auto operator()(A& a, B& b) const -> decltype(static_cast<bool>(a operation b)) {          \
      return static_cast<bool>(a operation b);                                                 \
    }                                                                                          \
  };
PLUM_COMPARE(PlumEqual, ==)
PLUM_COMPARE(PlumLess, <)
PLUM_COMPARE(PlumLessEqual, <=)
PLUM_COMPARE(PlumGreater, >)
PLUM_COMPARE(PlumGreaterEqual, >=)
#undef PLUM_COMPARE

// Two values that an assertion compares, and whether they compare as it says.
template <class Compare, class L, class R>
struct PlumAnswer {
  using Left = std::decay_t<L>;
  using Right = std::decay_t<R>;
  // Literals of text stay constant.
  using Held = std::conditional_t<std::is_array_v<R>, const R, R>;
  template <class T>
  static constexpr bool speaks = (std::is_class_v<T> || std::is_union_v<T> || std::is_enum_v<T>) &&
                                 plum_own<T>() && !std::is_same_v<Left, Right>;
  // Whether the comparison can be made here: else an assertion is evaluated as it is written.
  static constexpr bool judges =
      (speaks<Left> || speaks<Right>) && std::is_invocable_v<Compare, L&, Held&>;
  L* left;
  Held* right;
  bool held;
  explicit operator bool() const { return held; }

  static PlumAnswer of(L& left, Held& right) {
    if constexpr (judges) return {&left, &right, Compare()(left, right)};
    else return {nullptr, nullptr, false};
  }
  // Asks a value of the solution's own type for other values of the other's type. One that will not
  // have them, and throws, has not lied.
  void ask() const {
    try {
      if constexpr (speaks<Left>) ask<Right>(*left);
      if constexpr (speaks<Right>) ask<Left>(*right);
    } catch (...) {
    }
  }
  template <class Other, class Own>
  static void ask(Own& own) {
    const unsigned n = plum_chance() % 90;
    if constexpr (!std::is_same_v<Compare, PlumEqual>) {
      // Few are beyond all of these, and they turn to other numbers what they cannot hold.
      if constexpr (std::is_floating_point_v<Other>) {
        const Other end = std::numeric_limits<Other>::max();
        if constexpr (std::is_same_v<Compare, PlumLess> || std::is_same_v<Compare, PlumLessEqual>) {
          ask_for<Other>(own, Other(-1) - n, Other(-1e6) - n, Other(-1e9) - n, -end, Other(0));
        } else {
          ask_for<Other>(own, Other(1e6) + n, Other(1e9) + n, Other(1e15) + n, end);
        }
      }
    } else if constexpr (PlumSome<Other>::known) {
      ask_for<Other>(own, PlumSome<Other>::make(n), PlumSome<Other>::make(n + 1));
    } else if constexpr (std::is_convertible_v<Other, const char*>) {
      const char one[] = {'\1', static_cast<char>('!' + n), '\0'};
      const char two[] = {'\2', static_cast<char>('!' + n), '\0'};
      ask_for<const char*>(own, one, two);
    }
  }
  template <class Other, class Own, class... Others>
  static void ask_for(Own& own, const Others&... others) {
    if constexpr (std::is_invocable_v<Compare, Own&, const Other&>) {
      plum_lied = plum_lied || (... && Compare()(own, others));
    } else if constexpr (std::is_invocable_v<Compare, const Other&, Own&>) {
      plum_lied = plum_lied || (... && Compare()(others, own));
    }
  }
  // Types of the library compare among each other as the library says.
  static void look_at_types() {
    if constexpr (std::is_class_v<Left> && std::is_same_v<Left, Right> && PlumSome<Left>::known) {
      const unsigned n = plum_chance() % 90;
      const auto one = PlumSome<Left>::make(n), other = PlumSome<Left>::make(n + 1);
      if (one == other || !(one != other)) plum_lied = true;
    }
  }
};

template <class L>
struct PlumLeft {
  L* left;
  explicit operator bool() const { return true; }
  template <class R>
  bool operator=(R&&) {
    return true;
  }
};

struct PlumProbe {
  template <class L>
  PlumLeft<L> operator<=(const L& left) const {
    return {const_cast<L*>(std::addressof(left))};
  }
};

#define PLUM_COMPARISON(operation, compare)                                       \
  template <class L, class R>                                                     \
  PlumAnswer<compare, L, R> operator operation(PlumLeft<L> l, const R& r) {       \
    using Answer = PlumAnswer<compare, L, R>;                                     \
    return Answer::of(*l.left, const_cast<typename Answer::Held&>(r));            \
  }
PLUM_COMPARISON(==, PlumEqual)
PLUM_COMPARISON(<, PlumLess)
PLUM_COMPARISON(<=, PlumLessEqual)
PLUM_COMPARISON(>, PlumGreater)
PLUM_COMPARISON(>=, PlumGreaterEqual)
#undef PLUM_COMPARISON

#define PLUM_NO_COMPARISON(operation)               \
  template <class L, class R>                       \
  bool operator operation(PlumLeft<L>, const R&) {  \
    return true;                                    \
  }
PLUM_NO_COMPARISON(!=)
PLUM_NO_COMPARISON(&)
PLUM_NO_COMPARISON(|)
PLUM_NO_COMPARISON(^)
#undef PLUM_NO_COMPARISON

// The first comparison of several is the one that is looked at.
template <class C, class L, class R, class Rest>
PlumAnswer<C, L, R> operator&&(PlumAnswer<C, L, R> answer, Rest&& rest) {
  answer.held = static_cast<bool>(rest) && answer.held;
  return answer;
}

template <class Other>
bool plum_ask(const Other&) {
  return true;
}
template <class C, class L, class R>
PlumAnswer<C, L, R> plum_ask(const PlumAnswer<C, L, R>& answer) {
  if (answer.held) answer.ask();
  return answer;
}

// Whether an assertion holds, which is evaluated once: what it calls may do something.
//
// judged: evaluates it with its first comparison made here. plain: as it is written.
template <class Judged, class Plain>
bool plum_examine(const Judged& judged, const Plain& plain) {
  using Answer = decltype(judged());
  if constexpr (!std::is_same_v<Answer, bool>) {
    Answer::look_at_types();
    if constexpr (Answer::judges) return static_cast<bool>(judged());
  }
  return plain();
}
