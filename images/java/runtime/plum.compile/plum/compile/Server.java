package plum.compile;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Constructor;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.StandardJavaFileManager;

/**
 * Compiles one program after the other, as descriptor 3 asks for them.
 *
 * <p>A request is an archive of sources. The answer is a byte, 0 where they compile; the length of
 * what the compiler says, and that; and the archive of what it made. Both come with their length
 * before them. Numbers have four bytes, the highest first, but for the length of an archive's head,
 * which has its lowest first: archives are those of the worker, a list of path, size and mode in
 * JSON and then the files.
 *
 * <p>Nothing of a request is kept for the next: each has a compiler of its own, and what they share
 * reads the platform's classes only.
 */
final class Server {
  private static final int LINE = 3;
  private static final int TEXT = 1 << 16;
  private static final int MODE = 0644;
  private static final Pattern ENTRY = Pattern.compile("\\[\"([a-z0-9./]+)\", (\\d+), \\d+\\]");

  private Server() {}

  static void serve() throws IOException, ReflectiveOperationException {
    FileDescriptor line = descriptor();
    DataInputStream requests = new DataInputStream(new FileInputStream(line));
    DataOutputStream answers = new DataOutputStream(new FileOutputStream(line));
    StandardJavaFileManager platform = Compile.platform();
    for (;;) {
      byte[] request;
      try {
        request = requests.readNBytes(requests.readInt());
      } catch (EOFException e) {
        return;
      }
      byte[] answer = answer(request, platform);
      ByteArrayOutputStream whole = new ByteArrayOutputStream();
      new DataOutputStream(whole).writeInt(answer.length);
      whole.write(answer);
      answers.write(whole.toByteArray());
    }
  }

  private static FileDescriptor descriptor() throws ReflectiveOperationException {
    Constructor<FileDescriptor> make = FileDescriptor.class.getDeclaredConstructor(int.class);
    make.setAccessible(true);
    return make.newInstance(LINE);
  }

  private static byte[] answer(byte[] request, StandardJavaFileManager platform)
      throws IOException {
    ByteArrayOutputStream told = new ByteArrayOutputStream();
    PrintStream errors = new PrintStream(told, true, StandardCharsets.UTF_8);
    Map<String, byte[]> made = null;
    try {
      made = Compile.compile(unpack(request), platform, errors);
    } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
      errors.println("the compiler failed: " + e);
    }
    byte[] text = told.toByteArray();
    ByteArrayOutputStream whole = new ByteArrayOutputStream();
    DataOutputStream answer = new DataOutputStream(whole);
    answer.writeByte(made == null ? 1 : 0);
    answer.writeInt(Math.min(text.length, TEXT));
    answer.write(text, 0, Math.min(text.length, TEXT));
    if (made != null) {
      pack(made, answer);
    }
    return whole.toByteArray();
  }

  private static Map<String, String> unpack(byte[] archive) {
    int head = Integer.reverseBytes(ByteBuffer.wrap(archive).getInt());
    int at = Integer.BYTES + head;
    String entries = new String(archive, Integer.BYTES, head, StandardCharsets.US_ASCII);
    Map<String, String> files = new TreeMap<>();
    for (Matcher entry = ENTRY.matcher(entries); entry.find(); ) {
      int size = Integer.parseInt(entry.group(2));
      files.put(entry.group(1), new String(archive, at, size, StandardCharsets.UTF_8));
      at += size;
    }
    return files;
  }

  private static boolean isPlain(int c) {
    return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\';
  }

  private static void pack(Map<String, byte[]> files, DataOutputStream answer) throws IOException {
    StringBuilder head = new StringBuilder("[");
    files.forEach((path, data) -> {
      head.append(head.length() == 1 ? "" : ", ").append("[\"");
      path.chars().forEach(c -> head.append(isPlain(c) ? (char) c : String.format("\\u%04x", c)));
      head.append("\", ").append(data.length).append(", ").append(MODE).append(']');
    });
    byte[] bytes = head.append(']').toString().getBytes(StandardCharsets.US_ASCII);
    answer.writeInt(Integer.reverseBytes(bytes.length));
    answer.write(bytes);
    for (byte[] data : files.values()) {
      answer.write(data);
    }
  }
}
