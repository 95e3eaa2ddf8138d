// The reader's own fonts: nothing to load, and nothing that jumps.
import Theme from "vitepress/theme-without-fonts";
import "./style.css";

export default Theme;
