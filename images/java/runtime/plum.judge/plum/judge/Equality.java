package plum.judge;

import java.lang.reflect.Constructor;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import jdk.internal.reflect.ReflectionFactory;

/**
 * Finds classes of a solution that say of any value that it is theirs.
 *
 * <p>A suite asks what the solution returns whether it equals the right answer.
 */
final class Equality {
  private Equality() {}

  /** Name of a class whose equality is a lie; null where there is none. */
  static String liar(List<Class<?>> classes) {
    for (Class<?> type : classes) {
      if (ownEquals(type) && (isContainer(type) || equalsAnything(type))) {
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

  /** The library's own containers define what equal means; who replaces that has no good reason. */
  private static boolean isContainer(Class<?> type) {
    return Collection.class.isAssignableFrom(type)
        || Map.class.isAssignableFrom(type)
        || Map.Entry.class.isAssignableFrom(type);
  }

  private static boolean equalsAnything(Class<?> type) {
    if (Modifier.isAbstract(type.getModifiers()) || type.isEnum()) {
      return false;
    }
    try {
      // Of this one no constructor runs, and nobody has seen what it is compared with.
      Constructor<?> make = ReflectionFactory.getReflectionFactory()
          .newConstructorForSerialization(type, Object.class.getDeclaredConstructor());
      Object one = make.newInstance();
      List<Object> other = new ArrayList<>();
      other.add(new Object());
      return one.equals(other) || one.equals(new Object());
    } catch (ReflectiveOperationException | RuntimeException | LinkageError e) {
      return false;
    }
  }
}
