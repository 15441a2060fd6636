export * from "../../../../../scripts/libraries/graph.js";
