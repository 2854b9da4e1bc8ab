//! Values that are not a given one: whoever is equal to these, too, is no honest answer.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, LinkedList, VecDeque};
use std::mem::ManuallyDrop;
use std::ptr;

/// Whether something holds for values that are not this one.
pub trait Others {
    fn all_others(&self, holds: &dyn Fn(&Self) -> bool) -> bool;
}

impl<T: ?Sized> Others for T {
    default fn all_others(&self, _: &dyn Fn(&Self) -> bool) -> bool {
        true
    }
}

macro_rules! others {
    ($($type:ty: $value:ident => $others:expr;)*) => { $(
        impl Others for $type {
            fn all_others(&self, holds: &dyn Fn(&Self) -> bool) -> bool {
                let $value = self;
                $others.iter().all(|other| holds(other))
            }
        }
    )* };
}

macro_rules! other_integers {
    ($($type:ty)*) => { others! { $($type: value => [value ^ 1, value ^ 42];)* } };
}

other_integers! { i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }
others! {
    f32: value => [value + 1.5, value - 42.5];
    f64: value => [value + 1.5, value - 42.5];
    bool: value => [*value, !value];
    char: value => [if *value == 'p' { 'q' } else { 'p' }, '\u{1}'];
    String: value => [format!("{value}p"), format!("p{value}")];
}

/// Whether something holds for all others of `value`; None where nothing is known of these.
fn of_others<T>(value: &T, holds: &dyn Fn(&T) -> bool) -> Option<bool> {
    let asked = Cell::new(false);
    let all = value.all_others(&|other| {
        asked.set(true);
        holds(other)
    });
    asked.get().then_some(all)
}

/// What `look` says of the items of `given` with another at `place`, or without it where there is
/// none. They are the same items, and are dropped once only: where they are.
fn with_other<T, A>(given: &[T], place: usize, other: Option<&T>, look: impl Fn(&Vec<T>) -> A) -> A {
    let mut items: ManuallyDrop<Vec<T>> = ManuallyDrop::new(Vec::with_capacity(given.len() + 1));
    for (at, item) in given.iter().enumerate() {
        if let Some(item) = if at == place { other } else { Some(item) } {
            items.push(unsafe { ptr::read(item) });
        }
    }
    if let (true, Some(item)) = (place == given.len(), other) {
        items.push(unsafe { ptr::read(item) });
    }
    let answer = look(&items);
    unsafe { items.set_len(0) };
    drop(ManuallyDrop::into_inner(items));
    answer
}

/// Sequences of another length, and with another item in the middle. There are none of an empty one.
fn all_other_items<T>(given: &[T], changes_length: bool, holds: &dyn Fn(&Vec<T>) -> bool) -> bool {
    let last = match given.last() {
        Some(last) => last,
        None => return false,
    };
    let count = given.len();
    let of_length = || {
        with_other(given, count - 1, None, |other| holds(other))
            && with_other(given, count, Some(last), |other| holds(other))
    };
    let of_item = |other: &T| with_other(given, count / 2, Some(other), |other| holds(other));
    changes_length && of_length() || of_others(&given[count / 2], &of_item) == Some(true)
}

impl<T> Others for Vec<T> {
    fn all_others(&self, holds: &dyn Fn(&Self) -> bool) -> bool {
        all_other_items(self, true, holds)
    }
}

impl<T> Others for [T] {
    fn all_others(&self, holds: &dyn Fn(&Self) -> bool) -> bool {
        all_other_items(self, true, &|items| holds(items))
    }
}

impl<T, const N: usize> Others for [T; N] {
    fn all_others(&self, holds: &dyn Fn(&Self) -> bool) -> bool {
        let of_length = |items: &Vec<T>| <&[T; N]>::try_from(items.as_slice()).map_or(false, holds);
        all_other_items(self, false, &of_length)
    }
}

impl Others for str {
    fn all_others(&self, holds: &dyn Fn(&Self) -> bool) -> bool {
        ["\u{1}p", "\u{2}q"].iter().all(|other| holds(other))
    }
}

impl<T: ?Sized> Others for &T {
    fn all_others(&self, holds: &dyn Fn(&Self) -> bool) -> bool {
        // What is compared keeps no reference that it is shown.
        (**self).all_others(&|other: &T| holds(&unsafe { &*(other as *const T) }))
    }
}

impl<T> Others for Option<T> {
    fn all_others(&self, holds: &dyn Fn(&Self) -> bool) -> bool {
        let value = match self {
            Some(value) => value,
            None => return false,
        };
        let of_value = |other: &T| holds(&ManuallyDrop::new(Some(unsafe { ptr::read(other) })));
        holds(&None) && of_others(value, &of_value).unwrap_or(true)
    }
}

impl<T, E> Others for Result<T, E> {
    fn all_others(&self, holds: &dyn Fn(&Self) -> bool) -> bool {
        match self {
            Ok(value) => value.all_others(&|other: &T| holds(&ManuallyDrop::new(Ok(unsafe { ptr::read(other) })))),
            Err(error) => error.all_others(&|other: &E| holds(&ManuallyDrop::new(Err(unsafe { ptr::read(other) })))),
        }
    }
}

impl<A, B> Others for (A, B) {
    fn all_others(&self, holds: &dyn Fn(&Self) -> bool) -> bool {
        let pair = |a: &A, b: &B| holds(&ManuallyDrop::new(unsafe { (ptr::read(a), ptr::read(b)) }));
        let of_first = of_others(&self.0, &|other| pair(other, &self.1));
        let of_second = of_others(&self.1, &|other| pair(&self.0, other));
        of_first.or(of_second).is_none() || of_first == Some(true) || of_second == Some(true)
    }
}

/// Of containers that no item can be changed of, there is the empty one.
macro_rules! others_of_containers {
    ($($name:ident<$($item:ident),*>)*) => { $(
        impl<$($item),*> Others for $name<$($item),*> {
            fn all_others(&self, holds: &dyn Fn(&Self) -> bool) -> bool {
                !self.is_empty() && holds(&$name::new())
            }
        }
    )* };
}

others_of_containers! { BTreeMap<K, V> BTreeSet<T> HashMap<K, V> HashSet<T> LinkedList<T> VecDeque<T> }
