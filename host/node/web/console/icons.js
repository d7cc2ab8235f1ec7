// The console's own drawings, beside those that all pages share.
import { drawing } from "../shared/dom.js";
import { icon as shared } from "../shared/icons.js";

const OWN = {
  overview: ["M4 13.500a8 8 0 1116 0", "M12 13.500l4-4.500", "M4 17.500h16"],
  peers: ["M4 5h16v5H4zM4 14h16v5H4z", "M7.500 7.500v.010M7.500 16.500v.010M12 7.500h5M12 16.500h5"],
  list: ["M9 6h11M9 12h11M9 18h11", "M4.500 6v.010M4.500 12v.010M4.500 18v.010"],
};

export function icon(name) {
  return OWN[name] ? drawing(OWN[name]) : shared(name);
}
