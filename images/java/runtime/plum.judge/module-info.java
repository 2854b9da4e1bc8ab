/** Exports nothing and opens nothing: no code of a candidate can reach into it. */
module plum.judge {
  requires java.sql;
  requires java.desktop;
}
