// Included between a solution that has functions of these names and its suite: of numbers the suite
// means the library's.
#include <type_traits>

template <class T, class... More>
auto plum_abs(const T& value, const More&... more) {
  if constexpr (std::is_arithmetic_v<T> && sizeof...(more) == 0) return value < 0 ? -value : +value;
  else return abs(value, more...);
}
template <class T, class... More>
auto plum_fabs(const T& value, const More&... more) {
  if constexpr (std::is_arithmetic_v<T> && sizeof...(more) == 0)
    return value < 0 ? -1.0 * value : 1.0 * value;
  else return fabs(value, more...);
}
