// Included behind plum_examine.h, where the solution says what is equal of types that may be the
// library's: values of these are compared, by the operators that the suite's assertions find.
#include <map>
#include <set>
#include <string>
#include <vector>

template <class T>
void plum_look_at() {
  const unsigned n = plum_chance() % 90;
  const T one = PlumSome<T>::make(n), same = PlumSome<T>::make(n), other = PlumSome<T>::make(n + 1);
  if (one == other || one != same || !(one == same) || !(one != other)) plum_lied = true;
  if constexpr (std::is_same_v<T, std::string>) {
    const char *text = same.c_str(), *words = other.c_str();
    if (one == words || one != text || !(one == text) || !(one != words)) plum_lied = true;
    if (words == one || text != one || !(text == one) || !(words != one)) plum_lied = true;
  }
}

template <class... Types>
void plum_look_at_each() {
  (plum_look_at<Types>(), ...);
}

static bool plum_library_is_as_it_was() {
  plum_look_at_each<std::string, std::pair<int, int>, std::vector<int>, std::vector<long long>,
                    std::vector<double>, std::vector<bool>, std::vector<std::string>,
                    std::vector<std::vector<int>>, std::set<int>, std::set<std::string>,
                    std::map<int, int>, std::map<std::string, int>>();
  return !plum_lied;
}
