// WhatsApp's *bold* _italic_ ~struck~ `mono` as elements, for what is drawn before the server does.
// \u0001 and \u0002 stand around what was filled in.
const SIGNS = { "*": "b", _: "i", "~": "s", "`": "code", "\u0001": "mark" };
const PIECE = /(?<![\p{L}\p{N}])([*_~`])(?=\S)([^\n]*?\S)\1(?![\p{L}\p{N}])|(\u0001)([^\u0002]*)\u0002/u;

export function rich(text) {
  const all = document.createDocumentFragment();
  let rest = text;
  for (let found = PIECE.exec(rest); found; found = PIECE.exec(rest)) {
    all.append(rest.slice(0, found.index));
    const piece = document.createElement(SIGNS[found[1] ?? found[3]]);
    const inner = found[2] ?? found[4];
    if (found[1] === "`" || found[3]) piece.append(inner);
    else piece.append(rich(inner));
    all.append(piece);
    rest = rest.slice(found.index + found[0].length);
  }
  all.append(rest);
  return all;
}
