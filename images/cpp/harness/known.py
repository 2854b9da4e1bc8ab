"""Functions of the library that are compiled once, for the types that programs use most.

Most of a compilation is the library's templates, made for the program's types and compiled again
in each program. What is listed here is declared as a specialisation in the precompiled headers, so
that the compiler takes it for a function that is somewhere else, and it is: in a shared library
that programs are linked with, where it is the library's own template, compiled for the same type.

Of the same name and meaning in both; nobody could tell, but for who says something of his own of
the library's templates or gives a function the name that the linker knows. Such programs are
compiled without, as are those of which it cannot be told: see `may_use`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .below import code_of
from .specialised import SPECIALISED

_ITEMS = ("int", "long long", "double", "float", "std::string")
_VECTORS = (*_ITEMS, "std::vector<int>", "std::vector<std::string>")
_KEYS = ("int", "unsigned long", "char", "std::string")
_VALUES = ("int", "std::string", "std::vector<int>", "std::vector<std::string>")

#: Declarations with names that stand for types; `inner` are those of a member that is a template.
_STRING = """
inner String::basic_string(const char*, const std::allocator<char>&)
String::basic_string() noexcept
String::basic_string(const String&)
String::basic_string(String&&) noexcept
String::~basic_string() noexcept
String& String::operator=(const String&)
String& String::operator=(const char*)
String::size_type String::size() const noexcept
String::size_type String::length() const noexcept
bool String::empty() const noexcept
void String::clear() noexcept
void String::push_back(char)
void String::pop_back() noexcept
char& String::operator[](size_type) noexcept
const char& String::operator[](size_type) const noexcept
char& String::at(size_type)
char& String::back() noexcept
char& String::front() noexcept
const char* String::c_str() const noexcept
String::iterator String::begin() noexcept
String::iterator String::end() noexcept
String::const_iterator String::begin() const noexcept
String::const_iterator String::end() const noexcept
String& String::operator+=(const String&)
String& String::operator+=(const char*)
String& String::operator+=(char)
String& String::append(const String&)
String& String::append(const char*)
String String::substr(size_type, size_type) const
String::size_type String::find(const String&, size_type) const noexcept
bool std::operator==(const String&, const char*)
bool std::operator<(const String&, const String&) noexcept
String std::operator+(const String&, const String&)
String std::operator+(const String&, const char*)
String std::operator+(const char*, const String&)
String std::operator+(const String&, char)
String std::operator+(String&&, const String&)
String std::operator+(String&&, const char*)
String std::operator+(String&&, char)
"""
_VECTOR = """
Vector::vector(size_type, const allocator_type&)
Vector::vector(size_type, const value_type&, const allocator_type&)
Vector::vector(std::initializer_list<value_type>, const allocator_type&)
Vector::vector(const Vector&)
Vector::~vector() noexcept
Vector& Vector::operator=(const Vector&)
Vector& Vector::operator=(Vector&&) noexcept
Vector::size_type Vector::size() const noexcept
bool Vector::empty() const noexcept
void Vector::clear() noexcept
void Vector::resize(size_type)
void Vector::resize(size_type, const value_type&)
void Vector::reserve(size_type)
void Vector::push_back(const value_type&)
void Vector::push_back(value_type&&)
void Vector::pop_back() noexcept
Vector::reference Vector::operator[](size_type) noexcept
Vector::const_reference Vector::operator[](size_type) const noexcept
Vector::reference Vector::at(size_type)
Vector::reference Vector::front() noexcept
Vector::reference Vector::back() noexcept
Vector::iterator Vector::begin() noexcept
Vector::iterator Vector::end() noexcept
Vector::const_iterator Vector::begin() const noexcept
Vector::const_iterator Vector::end() const noexcept
Vector::iterator Vector::insert(const_iterator, const value_type&)
Vector::iterator Vector::erase(const_iterator)
bool std::operator==(const Vector&, const Vector&)
Item& Iterator::operator*() const noexcept
Iterator& Iterator::operator++() noexcept
bool __gnu_cxx::operator!=(const Iterator&, const Iterator&) noexcept
"""
_ALGORITHM = """
void std::sort(Vector::iterator, Vector::iterator)
void std::reverse(Vector::iterator, Vector::iterator)
Vector::iterator std::max_element(Vector::iterator, Vector::iterator)
Vector::iterator std::min_element(Vector::iterator, Vector::iterator)
"""
_TREE = """
Tree::~_Rb_tree() noexcept
Ordered::iterator Ordered::find(const key_type&)
Ordered::size_type Ordered::count(const key_type&) const
Ordered::size_type Ordered::erase(const key_type&)
Ordered::size_type Ordered::size() const noexcept
bool Ordered::empty() const noexcept
void Ordered::clear() noexcept
"""
_MAP = f"""{_TREE}
Ordered::mapped_type& Ordered::operator[](const key_type&)
Ordered::mapped_type& Ordered::operator[](key_type&&)
Ordered::mapped_type& Ordered::at(const key_type&)
Ordered::iterator Ordered::begin() noexcept
Ordered::iterator Ordered::end() noexcept
Ordered::const_iterator Ordered::begin() const noexcept
Ordered::const_iterator Ordered::end() const noexcept
Ordered::reverse_iterator Ordered::rbegin() noexcept
Ordered::reverse_iterator Ordered::rend() noexcept
Entry& std::_Rb_tree_iterator<Entry>::operator*() const noexcept
Entry* std::_Rb_tree_iterator<Entry>::operator->() const noexcept
std::_Rb_tree_iterator<Entry>& std::_Rb_tree_iterator<Entry>::operator++() noexcept
"""
_SET = f"""{_TREE}
std::pair<Ordered::iterator, bool> Ordered::insert(const value_type&)
std::pair<Ordered::iterator, bool> Ordered::insert(value_type&&)
Ordered::iterator Ordered::begin() const noexcept
Ordered::iterator Ordered::end() const noexcept
const Entry& std::_Rb_tree_const_iterator<Entry>::operator*() const noexcept
std::_Rb_tree_const_iterator<Entry>& std::_Rb_tree_const_iterator<Entry>::operator++() noexcept
"""

#: With these a program may say something of its own of the library's templates, or something that
#: is seen by none but the compiler or the linker.
_ODD = re.compile(
    r"(?<!\busing )\bnamespace\s+(?:std\b|\w+\s*=)|\btemplate\s*<\s*>"
    r"|\b(?:asm|extern|_Pragma|_Z\w*|__asm\w*|__attribute\w*)\b"
    r"|#\s*pragma\b|#\s*define\s+using\b|##|%:|\[\s*\[|<:"
)


def may_use(text: str) -> bool:
    """Whether functions that are compiled elsewhere mean the same in `text`."""
    code = code_of(text)
    return _ODD.search(code) is None and SPECIALISED.search(code) is None


def declarations() -> tuple[str, str]:
    """What is declared of strings, where the library's header on them has just defined them, and
    what is declared of everything else, behind the headers of a set."""
    strings = "".join(map(_declared, _filled(_STRING, String="std::string")))
    parts = []
    for guards, functions in _groups():
        condition = " && ".join(f"defined({guard})" for guard in guards)
        parts.append(f"#if {condition}\n{''.join(map(_declared, functions))}#endif\n")
    return strings, "".join(parts)


def definitions() -> str:
    """The source of the shared library, behind its headers."""
    functions = [*_filled(_STRING, String="std::string")]
    functions += [function for _, group in _groups() for function in group]
    return "".join(f"template {function.removeprefix('inner ')};\n" for function in functions)


def _declared(function: str) -> str:
    inner = function.removeprefix("inner ")
    return f"template <> {'template <> ' if inner != function else ''}{inner};\n"


def _groups() -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """The guards of the headers that have what some functions need, and these functions."""
    strings, vectors = ("_BASIC_STRING_H",), ("_STL_VECTOR_H",)
    for item in _VECTORS:
        vector = f"std::vector<{item}>"
        names = {
            "Vector": vector,
            "Item": item,
            "Iterator": f"__gnu_cxx::__normal_iterator<{item}*, {vector}>",
        }
        needed = vectors + strings * ("string" in item)
        yield needed, _filled(_VECTOR, **names)
        yield (*needed, "_STL_ALGO_H"), _filled(_ALGORITHM, **names)
    for key in _KEYS:
        tree = f"std::_Rb_tree<{key}, {key}, std::_Identity<{key}>, std::less<{key}>>"
        functions = _filled(_SET, Ordered=f"std::set<{key}>", Tree=tree, Entry=key)
        yield ("_STL_SET_H", *strings * ("string" in key)), functions
        for value in _VALUES:
            entry = f"std::pair<const {key}, {value}>"
            tree = f"std::_Rb_tree<{key}, {entry}, std::_Select1st<{entry}>, std::less<{key}>>"
            ordered = f"std::map<{key}, {value}>"
            functions = _filled(_MAP, Ordered=ordered, Tree=tree, Entry=entry)
            yield ("_STL_MAP_H", *vectors, *strings), functions


def _filled(functions: str, **names: str) -> list[str]:
    pattern = re.compile(r"\b(?:" + "|".join(names) + r")\b")
    text = pattern.sub(lambda match: names[match[0]], functions)
    return [line for line in text.splitlines() if line]
