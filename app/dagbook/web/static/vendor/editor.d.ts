export * from "../../../../../scripts/libraries/editor.js";
