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
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
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
import javax.tools.ToolProvider;

/**
 * Compiles solution.java and, where there is one, suite.java, as they lie in the working folder.
 *
 * <p>Makes classes/solution/NAME.class, classes/suite/NAME.class, and classes/suite.txt with two
 * lines: the class that the suite begins in, and how many ways to fail it has. Prints an error a
 * line, as FILE:LINE: MESSAGE.
 */
public final class Compile {
  private static final List<String> OPTIONS = List.of(
      // No class files' comments on what they were made of but lines; no bootstrap of string sums,
      // which costs a program that starts more than it saves.
      "-proc:none", "-implicit:none", "-nowarn", "-g:source,lines", "-XDstringConcat=inline",
      "-Xmaxerrs", "20");

  private static final Set<String> ROOTS = Set.of("java", "javax", "jdk");

  private Compile() {}

  public static void main(String[] arguments) throws IOException {
    System.exit(compile(Path.of("."), Path.of("classes")) ? 0 : 1);
  }

  static boolean compile(Path folder, Path target) throws IOException {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    Errors errors = new Errors();
    StandardJavaFileManager standard = compiler.getStandardFileManager(errors, Locale.ROOT, null);
    Outputs outputs = new Outputs(standard);
    List<JavaFileObject> sources = new ArrayList<>();
    for (String name : List.of("solution.java", "suite.java")) {
      try {
        sources.add(new Source(name, Files.readString(folder.resolve(name))));
      } catch (NoSuchFileException e) {
        continue;
      }
    }
    JavacTask task = (JavacTask) compiler.getTask(null, outputs, errors, OPTIONS, null, sources);
    Suite suite = new Suite();
    for (CompilationUnitTree unit : task.parse()) {
      if (nameOf(unit.getSourceFile()).equals("suite.java")) {
        suite.scan(unit, null);
        suite.missing = suite.main == null;
      } else {
        refusePackages(unit, errors);
      }
    }
    if (errors.count != 0) {
      return false;
    }
    if (suite.missing) {
      System.err.println("suite.java:1: [suite] no class has a static method main(String[])");
      return false;
    }
    errors.syntax = false;
    task.generate();
    if (errors.count != 0) {
      return false;
    }
    for (Map.Entry<String, ByteArrayOutputStream> made : outputs.made.entrySet()) {
      Path path = target.resolve(made.getKey());
      Files.createDirectories(path.getParent());
      Files.write(path, made.getValue().toByteArray());
    }
    Files.writeString(target.resolve("suite.txt"), suite.main + "\n" + suite.waysToFail + "\n");
    return true;
  }

  /** A class that is called as the JDK's packages begin would stand before them all. */
  private static void refusePackages(CompilationUnitTree unit, Errors errors) {
    for (Tree type : unit.getTypeDecls()) {
      if (type instanceof ClassTree && ROOTS.contains(((ClassTree) type).getSimpleName().toString())) {
        errors.count++;
        System.err.println("solution.java:1: a class must not be called as a package of the JDK");
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

  /** Keeps classes in memory, by whose they are. */
  private static final class Outputs extends ForwardingJavaFileManager<JavaFileManager> {
    final Map<String, ByteArrayOutputStream> made = new TreeMap<>();

    Outputs(JavaFileManager standard) {
      super(standard);
    }

    @Override
    public JavaFileObject getJavaFileForOutput(
        Location location, String name, JavaFileObject.Kind kind, FileObject sibling) {
      String side = nameOf(sibling).replace(".java", "");
      String path = side + "/" + name + ".class";
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

    @Override
    public void report(Diagnostic<? extends JavaFileObject> found) {
      if (found.getKind() != Diagnostic.Kind.ERROR) {
        return;
      }
      count++;
      String message = found.getMessage(Locale.ROOT).replaceAll("\\s*\n\\s*", " ");
      String file = found.getSource() == null ? "" : nameOf(found.getSource()) + ":";
      String line = file.isEmpty() ? "" : Math.max(1, found.getLineNumber()) + ": ";
      System.err.println(file + line + (syntax ? "[syntax] " : "") + message);
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
      if (tree.getMethodSelect().toString().matches("(System\\.)?(exit|halt)")) {
        waysToFail++;
      }
      return super.visitMethodInvocation(tree, nothing);
    }
  }
}
