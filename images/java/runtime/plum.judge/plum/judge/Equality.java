package plum.judge;

import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.Modifier;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import jdk.internal.reflect.ReflectionFactory;

/**
 * Finds classes of a solution that say of any value that it is theirs.
 *
 * <p>A suite asks what the solution returns whether it equals the right answer.
 */
final class Equality {
  private static final int MOST_ITEMS = 1000;

  private Equality() {}

  /** Name of a class whose equality is a lie; null where there is none. */
  static String liar(List<Class<?>> classes) {
    for (Class<?> type : classes) {
      boolean container = isContainer(type);
      boolean lies = ownEquals(type)
          ? replacesLibrarys(type) || equalsAnything(type)
          : container && (equalsAnything(type) || losesItems(type));
      if (lies) {
        return type.getName();
      }
    }
    return null;
  }

  private static boolean ownEquals(Class<?> type) {
    try {
      type.getDeclaredMethod("equals", Object.class);
      return !type.isInterface();
    } catch (NoSuchMethodException | LinkageError e) {
      return false;
    }
  }

  /** What a container inherits says what equal means; who replaces that has no good reason. */
  private static boolean replacesLibrarys(Class<?> type) {
    try {
      Class<?> said = type.getSuperclass().getMethod("equals", Object.class).getDeclaringClass();
      return isContainer(type) && said != Object.class && said.getClassLoader() == null;
    } catch (NoSuchMethodException | LinkageError e) {
      return false;
    }
  }

  private static boolean isContainer(Class<?> type) {
    return Collection.class.isAssignableFrom(type)
        || Map.class.isAssignableFrom(type)
        || Map.Entry.class.isAssignableFrom(type);
  }

  private static boolean equalsAnything(Class<?> type) {
    if (Modifier.isAbstract(type.getModifiers()) || type.isEnum()) {
      return false;
    }
    List<Object> others = others();
    for (Object one : instances(type)) {
      try {
        for (Object other : isContainer(type) ? containers(one) : others) {
          if (one.equals(other)) {
            return true;
          }
        }
      } catch (RuntimeException | LinkageError e) {
        continue; // a cast that fails is no lie
      }
    }
    return false;
  }

  /** Containers of the same kind with as many items as `one` says that it has, and one more. */
  private static List<Object> containers(Object one) {
    int size = one instanceof Collection ? ((Collection<?>) one).size() : 0;
    size = one instanceof Map ? ((Map<?, ?>) one).size() : size;
    List<Object> made = new ArrayList<>();
    for (int count : new int[] {Math.max(1, size), size + 1}) {
      List<Integer> items = new SecureRandom().ints(Math.min(count, MOST_ITEMS)).boxed().toList();
      made.add(new ArrayList<>(items));
      made.add(new HashSet<>(items));
      made.add(items.stream().collect(Collectors.toMap(i -> i, i -> i, (a, b) -> a)));
      made.add(items.stream().map(Integer::toHexString).toList());
      made.add(Map.entry(items.get(0), items.get(items.size() - 1)));
    }
    return made;
  }

  /** A suite that speaks of a library's container means that one, and not a class of its name. */
  private static boolean losesItems(Class<?> type) {
    try {
      Class.forName("java.util." + type.getName());
    } catch (ClassNotFoundException | LinkageError e) {
      return false;
    }
    List<Integer> items = new SecureRandom().ints(2).boxed().toList();
    Set<Object> held = new HashSet<>(items);
    try {
      for (Constructor<?> constructor : type.getDeclaredConstructors()) {
        Class<?>[] wanted = constructor.getParameterTypes();
        constructor.setAccessible(true);
        if (wanted.length == 1 && wanted[0] == Collection.class) {
          Object made = constructor.newInstance(items);
          return !held.equals(new HashSet<>((Collection<?>) made));
        }
        if (wanted.length == 1 && wanted[0] == Map.class) {
          Object made = constructor.newInstance(Map.of(items.get(0), items.get(1)));
          return !Set.of(items.get(0)).equals(new HashSet<>(((Map<?, ?>) made).keySet()));
        }
      }
      return false;
    } catch (ReflectiveOperationException | RuntimeException | LinkageError e) {
      return false; // it takes no such items
    }
  }

  /** Values that nobody has seen. */
  private static List<Object> others() {
    int number = new SecureRandom().nextInt();
    String text = Integer.toHexString(number);
    List<Object> list = new ArrayList<>(List.of(number, text));
    return List.of(
        new Object(), list, number, (long) number, number / 3.0, text, Map.of(text, number),
        Set.of(text), new int[] {number});
  }

  /** Some of `type`: one that no constructor has seen, and what those make of nothing. */
  private static List<Object> instances(Class<?> type) {
    List<Object> made = new ArrayList<>();
    try {
      made.add(ReflectionFactory.getReflectionFactory()
          .newConstructorForSerialization(type, Object.class.getDeclaredConstructor())
          .newInstance());
    } catch (ReflectiveOperationException | RuntimeException | LinkageError e) {
      return made;
    }
    for (Constructor<?> constructor : type.getDeclaredConstructors()) {
      try {
        constructor.setAccessible(true);
        Object[] nothing = new Object[constructor.getParameterCount()];
        for (int i = 0; i < nothing.length; i++) {
          nothing[i] = nothing(constructor.getParameterTypes()[i]);
        }
        made.add(constructor.newInstance(nothing));
      } catch (ReflectiveOperationException | RuntimeException | LinkageError e) {
        continue; // it needs more than that
      }
    }
    return made;
  }

  private static Object nothing(Class<?> type) {
    // An array's elements are what a field holds to which nothing was assigned.
    return type.isPrimitive() ? Array.get(Array.newInstance(type, 1), 0) : null;
  }
}
