/** Compiles; runs nothing of what it compiles. */
module plum.compile {
  requires jdk.compiler;
}
