/**
 * The password of a server that others can reach. A board has nothing but its server URL, to which it appends `/`, its id and a query, and
 * a URL with a query of its own is broken by that (EchoKit device protocol reference, section 1.2). So the token is
 * also taken from the path: `ws://host:port/token/<token>/ws/`. `token-check.ts` compares it: the command line, which only wants to hide tokens, needs no cryptography.
 */

/** Less can be guessed in time. */
export const tokenCharactersMin = 16;
/** With `ws://`, a host and `/ws/` it has to fit into the 127 bytes that a board keeps. */
export const tokenCharactersMax = 80;

export interface TokenRequest {
  /** Path and query. */
  readonly url: string;
  readonly authorization: string | undefined;
}

/** Path and query without the token, and the tokens that were shown. */
export interface ShownTokens {
  readonly target: string;
  readonly shown: readonly string[];
}

const inPath = /^\/token\/([^/?#]*)(?=\/)/;

/** Tokens of a request: in its header `Authorization: Bearer`, at the beginning of its path, in its query. */
export function tokensOf({ url, authorization }: TokenRequest): ShownTokens {
  const bearer = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  const path = inPath.exec(url);
  const target = path === null ? url : url.slice(path[0].length);
  const mark = target.indexOf('?');
  const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)).getAll('token');
  return { target, shown: [bearer, path?.[1], ...query].filter((token) => token !== undefined) };
}

/** Secrets that stand in the URL of a server, for whoever shows or records it. */
export function secretsOfServerUrl(url: string): string[] {
  if (!URL.canParse(url)) return [];
  const { pathname, search, password } = new URL(url);
  const { shown } = tokensOf({ url: pathname + search, authorization: undefined });
  return [...shown, password].filter((secret) => secret !== '');
}

/** Why this is no token; nothing when it is one. */
export function tokenProblem(token: string): string | undefined {
  if (!/^[\w.~-]*$/.test(token)) {
    return 'A token consists of letters, digits and - . _ ~, which a URL carries as they are.';
  }
  const { length } = token;
  if (length < tokenCharactersMin || length > tokenCharactersMax) {
    return `A token has ${tokenCharactersMin} to ${tokenCharactersMax} characters; this one has ${length}.`;
  }
  return undefined;
}
