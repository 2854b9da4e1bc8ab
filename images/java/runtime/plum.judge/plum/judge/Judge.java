package plum.judge;

import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.file.Path;
import java.util.Set;

/**
 * Runs the suite of one program and reports on descriptor 3.
 *
 * <p>The report is an object that only this thread's stack refers to. What a candidate may use of
 * Java has no way there: this module opens nothing, and the module with Unsafe is not there.
 */
public final class Judge {
  private static final Set<Class<?>> SAID_BY_SUITES =
      Set.of(Exception.class, RuntimeException.class, Error.class, IllegalStateException.class);

  private Judge() {}

  public static void main(String[] arguments) throws IOException, ReflectiveOperationException {
    Report report = new Report();
    Program program = new Program(Path.of("classes"));
    boolean passed;
    try {
      passed = judge(program, report);
    } catch (Throwable e) {
      passed = false; // out of memory, or of stack, while it reports
    }
    System.out.flush();
    System.err.flush();
    // Neither the candidate's hooks nor its threads have a say from here on.
    Runtime.getRuntime().halt(passed ? 0 : 1);
  }

  private static boolean judge(Program program, Report report) {
    try {
      program.loadSolution();
    } catch (Throwable e) {
      crash(report, "LOAD", cause(e));
      return false;
    }
    report.begin();
    try {
      Class<?> suite = program.loadSuite();
      Method main = suite.getDeclaredMethod("main", String[].class);
      main.setAccessible(true);
      main.invoke(null, (Object) new String[0]);
    } catch (Throwable e) {
      if (program.status() == null) {
        stop(report, cause(e));
        return false;
      }
    }
    Integer status = program.status();
    if (status != null && status != 0) {
      report.failed(0, "the suite ended the program with status " + status);
      return false;
    }
    String liar = Equality.liar(program.loadedOfSolution());
    if (liar != null) {
      report.stopped("TAMPERED", "TEST", "the solution's class " + liar + " equals what it is not");
      return false;
    }
    report.end(Math.min(1, program.waysToFail));
    return true;
  }

  private static Throwable cause(Throwable e) {
    boolean wrapped = e instanceof InvocationTargetException || e instanceof ExceptionInInitializerError;
    return wrapped && e.getCause() != null ? e.getCause() : e;
  }

  private static void stop(Report report, Throwable e) {
    StackTraceElement[] stack = e.getStackTrace();
    boolean thrownBySuite = stack.length > 0 && "suite.java".equals(stack[0].getFileName());
    boolean says = e instanceof AssertionError || SAID_BY_SUITES.contains(e.getClass());
    if (thrownBySuite && says) {
      e.printStackTrace();
      report.failed(Math.max(0, stack[0].getLineNumber()), e.toString());
    } else {
      crash(report, "TEST", e);
    }
  }

  private static void crash(Report report, String phase, Throwable e) {
    if (e instanceof OutOfMemoryError && !String.valueOf(e.getMessage()).contains("thread")) {
      report.stopped("MEMORY_LIMIT_EXCEEDED", phase, "the heap is full: " + e.getMessage());
      return;
    }
    e.printStackTrace();
    report.stopped("RUNTIME_ERROR", phase, e.toString());
  }
}
