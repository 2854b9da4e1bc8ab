package plum.compile;

import com.sun.source.tree.AssertTree;
import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.MethodInvocationTree;
import com.sun.source.tree.MethodTree;
import com.sun.source.tree.ThrowTree;
import com.sun.source.tree.Tree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.TreeScanner;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import javax.lang.model.element.Modifier;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticListener;
import javax.tools.FileObject;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.StandardLocation;
import javax.tools.ToolProvider;

/**
 * Compiles solution.java and, where there is one, suite.java; or suites in folders called by their
 * numbers, each by itself against the classes of the solution, which is compiled once.
 *
 * <p>Makes classes/solution/NAME.class, classes/suite/NAME.class, and classes/suite.txt with two
 * lines: the class that the suite begins in, and how many ways to fail it has; what is made of one
 * of several suites lies in its folder. Prints an error a line, as FILE:LINE: MESSAGE.
 *
 * <p>Without arguments it does so once, in the working folder; {@link Server} is the other way.
 */
public final class Compile {
  static final String SOLUTION = "solution.java";
  static final String SUITE = "suite.java";
  private static final String ABOUT = "classes/suite.txt";
  private static final List<String> OPTIONS = List.of(
      // No class files' comments on what they were made of but lines; no bootstrap of string sums,
      // which costs a program that starts more than it saves.
      "-proc:none", "-implicit:none", "-nowarn", "-g:source,lines", "-XDstringConcat=inline",
      "-XDuseUnsharedTable=true", "-Xmaxerrs", "20");

  private static final Set<String> ROOTS = Set.of("java", "javax", "jdk");

  private Compile() {}

  public static void main(String[] arguments) throws IOException, ReflectiveOperationException {
    if (arguments.length == 1) {
      Server.serve();
      return;
    }
    Map<String, String> sources = new TreeMap<>();
    for (String name : List.of(SOLUTION, SUITE)) {
      if (Files.exists(Path.of(name))) {
        sources.put(name, Files.readString(Path.of(name)));
      }
    }
    for (int number = 0; Files.exists(Path.of(ofSeveral(number))); number++) {
      sources.put(ofSeveral(number), Files.readString(Path.of(ofSeveral(number))));
    }
    Map<String, byte[]> made = compile(sources, platform(), System.err);
    if (made == null) {
      System.exit(1);
    }
    for (Map.Entry<String, byte[]> file : made.entrySet()) {
      Path path = Path.of(file.getKey());
      Files.createDirectories(path.getParent());
      Files.write(path, file.getValue());
    }
    System.exit(0);
  }

  /** What compilations read the platform's classes by. It sees nothing of their sources. */
  static StandardJavaFileManager platform() {
    return ToolProvider.getSystemJavaCompiler().getStandardFileManager(null, Locale.ROOT, null);
  }

  private static String ofSeveral(int number) {
    return number + "/" + SUITE;
  }

  /** The files that are made of `sources`, by path; null where there is an error. */
  static Map<String, byte[]> compile(
      Map<String, String> sources, StandardJavaFileManager platform, PrintStream told)
      throws IOException {
    if (!sources.containsKey(ofSeveral(0))) {
      return compile(sources, Map.of(), platform, told);
    }
    // What is said of a solution alone is not all that would be said of it and a suite.
    PrintStream unheard = new PrintStream(OutputStream.nullOutputStream());
    Map<String, String> alone = Map.of(SOLUTION, sources.get(SOLUTION));
    Map<String, byte[]> made = compile(alone, Map.of(), platform, unheard);
    if (made == null) {
      told.println("the solution does not compile");
      return null;
    }
    made.remove(ABOUT);
    Map<String, byte[]> all = new TreeMap<>(made);
    for (int number = 0; sources.containsKey(ofSeveral(number)); number++) {
      Map<String, String> suite = Map.of(SUITE, sources.get(ofSeveral(number)));
      Map<String, byte[]> part = compile(suite, made, platform, told);
      if (part == null) {
        return null;
      }
      for (Map.Entry<String, byte[]> file : part.entrySet()) {
        all.put(number + "/" + file.getKey(), file.getValue());
      }
    }
    return all;
  }

  /** The same of one program. known: files that were made before. */
  private static Map<String, byte[]> compile(
      Map<String, String> sources,
      Map<String, byte[]> known,
      StandardJavaFileManager platform,
      PrintStream told)
      throws IOException {
    Errors errors = new Errors(told);
    Outputs outputs = new Outputs(platform, known);
    List<JavaFileObject> files = new ArrayList<>();
    sources.forEach((name, text) -> files.add(new Source(name, text)));
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    JavacTask task = (JavacTask) compiler.getTask(null, outputs, errors, OPTIONS, null, files);
    Suite suite = new Suite();
    for (CompilationUnitTree unit : task.parse()) {
      if (nameOf(unit.getSourceFile()).equals(SUITE)) {
        suite.scan(unit, null);
        suite.missing = suite.main == null;
      } else {
        refusePackages(unit, errors);
      }
    }
    if (errors.count != 0) {
      return null;
    }
    if (suite.missing) {
      told.println("suite.java:1: [suite] no class has a static method main(String[])");
      return null;
    }
    errors.syntax = false;
    task.generate();
    if (errors.count != 0) {
      return null;
    }
    Map<String, byte[]> made = new TreeMap<>();
    outputs.made.forEach((path, bytes) -> made.put(path, bytes.toByteArray()));
    String about = suite.main + "\n" + suite.waysToFail + "\n";
    made.put(ABOUT, about.getBytes(StandardCharsets.UTF_8));
    return made;
  }

  /** A class that is called as the JDK's packages begin would stand before them all. */
  private static void refusePackages(CompilationUnitTree unit, Errors errors) {
    for (Tree type : unit.getTypeDecls()) {
      if (type instanceof ClassTree && ROOTS.contains(((ClassTree) type).getSimpleName().toString())) {
        errors.count++;
        errors.told.println("solution.java:1: a class must not be called as a package of the JDK");
      }
    }
  }

  private static String nameOf(FileObject file) {
    return file.getName().substring(1);
  }

  private static final class Source extends SimpleJavaFileObject {
    private final String text;

    Source(String name, String text) {
      super(URI.create("string:///" + name), Kind.SOURCE);
      this.text = text;
    }

    @Override
    public CharSequence getCharContent(boolean ignoreEncodingErrors) {
      return text;
    }

    /** A public class may be called otherwise than its file. */
    @Override
    public boolean isNameCompatible(String simpleName, Kind kind) {
      return true;
    }
  }

  /** A class of the solution, for its suites. */
  private static final class Known extends SimpleJavaFileObject {
    final String name;
    private final byte[] bytes;

    Known(String path, byte[] bytes) {
      super(URI.create("string:///known"), Kind.CLASS);
      name = path.substring(path.lastIndexOf('/') + 1).replace(Kind.CLASS.extension, "");
      this.bytes = bytes;
    }

    @Override
    public InputStream openInputStream() {
      return new ByteArrayInputStream(bytes);
    }
  }

  /** Keeps classes in memory, by whose they are; finds those that were made before. */
  private static final class Outputs extends ForwardingJavaFileManager<JavaFileManager> {
    final Map<String, ByteArrayOutputStream> made = new TreeMap<>();
    private final List<JavaFileObject> known = new ArrayList<>();

    Outputs(JavaFileManager standard, Map<String, byte[]> given) {
      super(standard);
      given.forEach((path, bytes) -> known.add(new Known(path, bytes)));
    }

    @Override
    public Iterable<JavaFileObject> list(
        Location location, String packageName, Set<JavaFileObject.Kind> kinds, boolean recurse)
        throws IOException {
      Iterable<JavaFileObject> found = super.list(location, packageName, kinds, recurse);
      boolean ours = location == StandardLocation.CLASS_PATH && packageName.isEmpty();
      if (!ours || !kinds.contains(JavaFileObject.Kind.CLASS)) {
        return found;
      }
      List<JavaFileObject> all = new ArrayList<>(known);
      found.forEach(all::add);
      return all;
    }

    @Override
    public String inferBinaryName(Location location, JavaFileObject file) {
      return file instanceof Known ? ((Known) file).name : super.inferBinaryName(location, file);
    }

    @Override
    public JavaFileObject getJavaFileForOutput(
        Location location, String name, JavaFileObject.Kind kind, FileObject sibling) {
      String side = nameOf(sibling).replace(".java", "");
      String path = "classes/" + side + "/" + name + ".class";
      return new SimpleJavaFileObject(URI.create("string:///made"), kind) {
        @Override
        public OutputStream openOutputStream() {
          ByteArrayOutputStream bytes = new ByteArrayOutputStream();
          made.put(path, bytes);
          return bytes;
        }
      };
    }
  }

  private static final class Errors implements DiagnosticListener<JavaFileObject> {
    int count;
    boolean syntax = true;
    private final PrintStream told;

    Errors(PrintStream told) {
      this.told = told;
    }

    @Override
    public void report(Diagnostic<? extends JavaFileObject> found) {
      if (found.getKind() != Diagnostic.Kind.ERROR) {
        return;
      }
      count++;
      String message = found.getMessage(Locale.ROOT).replaceAll("\\s*\n\\s*", " ");
      String file = found.getSource() == null ? "" : nameOf(found.getSource()) + ":";
      String line = file.isEmpty() ? "" : Math.max(1, found.getLineNumber()) + ": ";
      told.println(file + line + (syntax ? "[syntax] " : "") + message);
    }
  }

  /** Where the suite begins, and what in it can say that something is wrong. */
  private static final class Suite extends TreeScanner<Void, Void> {
    String main;
    int waysToFail;
    boolean missing;
    private int depth;

    @Override
    public Void visitClass(ClassTree tree, Void nothing) {
      String name = tree.getSimpleName().toString();
      if (depth == 0 && name.matches("Plum[0-9a-f]{16}")) {
        return null; // by which the harness has it begin and end
      }
      if (depth == 0 && (main == null || name.equals("Main"))) {
        for (Tree member : tree.getMembers()) {
          if (member instanceof MethodTree && isMain((MethodTree) member)) {
            main = name;
          }
        }
      }
      depth++;
      super.visitClass(tree, nothing);
      depth--;
      return null;
    }

    private static boolean isMain(MethodTree method) {
      return method.getName().contentEquals("main")
          && method.getParameters().size() == 1
          && method.getModifiers().getFlags().contains(Modifier.STATIC);
    }

    @Override
    public Void visitThrow(ThrowTree tree, Void nothing) {
      waysToFail++;
      return super.visitThrow(tree, nothing);
    }

    @Override
    public Void visitAssert(AssertTree tree, Void nothing) {
      waysToFail++;
      return super.visitAssert(tree, nothing);
    }

    @Override
    public Void visitMethodInvocation(MethodInvocationTree tree, Void nothing) {
      if (tree.getMethodSelect().toString().matches("(\\w+\\.)?(exit|halt)")) {
        waysToFail++;
      }
      return super.visitMethodInvocation(tree, nothing);
    }
  }
}
