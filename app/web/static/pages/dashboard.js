export { default } from "./dags.js";
