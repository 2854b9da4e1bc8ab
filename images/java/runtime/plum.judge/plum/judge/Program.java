package plum.judge;

import java.io.File;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import jdk.internal.reflect.Reflection;

/** The classes of solution and suite, taken from the working folder and kept in memory only. */
final class Program extends ClassLoader {
  static final String SOLUTION = "solution";
  static final String SUITE = "suite";
  private static final String EXTENSION = ".class";
  /** What the harness calls the class that the suite ends by. */
  private static final Pattern ENDING = Pattern.compile("Plum[0-9a-f]{16}");

  /** Name of the class that the suite begins in. */
  final String main;
  final int waysToFail;
  private final Map<String, byte[]> waiting = new HashMap<>();
  private final List<String> solution;
  private final List<String> suite;

  static {
    registerAsParallelCapable();
  }

  /** Leaves nothing in `folder`: the suite is not for the candidate's eyes. */
  Program(Path folder) throws IOException {
    super(ClassLoader.getPlatformClassLoader());
    List<String> about = Files.readAllLines(folder.resolve("suite.txt"));
    main = about.get(0);
    waysToFail = Integer.parseInt(about.get(1));
    Files.delete(folder.resolve("suite.txt"));
    // The solution first: a class file that bears the same name as one of the suite's must not win.
    solution = take(folder.resolve(SOLUTION).toFile());
    suite = take(folder.resolve(SUITE).toFile());
    for (String name : suite) {
      super.setClassAssertionStatus(name, true);
    }
    Files.delete(folder);
  }

  private List<String> take(File folder) throws IOException {
    List<String> names = new ArrayList<>();
    File[] files = folder.listFiles();
    if (files == null) {
      return names;
    }
    for (File file : files) {
      String name = file.getName().replace(EXTENSION, "");
      waiting.put(name, Files.readAllBytes(file.toPath()));
      names.add(name);
      Files.delete(file.toPath());
    }
    Files.delete(folder.toPath());
    return names;
  }

  @Override
  protected Class<?> findClass(String name) throws ClassNotFoundException {
    byte[] bytes;
    synchronized (waiting) {
      bytes = waiting.remove(name);
    }
    if (bytes == null) {
      throw new ClassNotFoundException(name);
    }
    return defineClass(name, bytes, 0, bytes.length);
  }

  /** Those of the solution that are no part of another, initialised: what fails here fails early. */
  void loadSolution() throws ClassNotFoundException {
    for (String name : solution) {
      if (name.indexOf('$') < 0) {
        Class.forName(name, true, this);
      }
    }
  }

  /** Loads the suite, and returns the class that it begins in: none of it is initialised. */
  Class<?> loadSuite() throws ClassNotFoundException {
    for (String name : suite) {
      // What a suite expects is its own affair: a solution could look it up by reflection.
      Reflection.registerFieldsToFilter(Class.forName(name, false, this), Set.of("*"));
    }
    return Class.forName(main, false, this);
  }

  /** With what the suite has ended the program; null where it has not. */
  Integer status() {
    for (String name : suite) {
      Class<?> loaded = ENDING.matcher(name).matches() ? findLoadedClass(name) : null;
      if (loaded == null) {
        continue;
      }
      try {
        Method status = loaded.getDeclaredMethod("status");
        status.setAccessible(true);
        return (Integer) status.invoke(null);
      } catch (ReflectiveOperationException e) {
        continue; // it is there for something else
      }
    }
    return null;
  }

  // A solution, which reaches its own loader, would switch off the suite's assertions.

  @Override
  public void setDefaultAssertionStatus(boolean enabled) {}

  @Override
  public void setPackageAssertionStatus(String name, boolean enabled) {}

  @Override
  public void setClassAssertionStatus(String name, boolean enabled) {}

  @Override
  public void clearAssertionStatus() {}

  /** The solution's classes that have been loaded. */
  List<Class<?>> loadedOfSolution() {
    List<Class<?>> found = new ArrayList<>();
    for (String name : solution) {
      Class<?> loaded = findLoadedClass(name);
      if (loaded != null) {
        found.add(loaded);
      }
    }
    return found;
  }
}
