/** Every row of the HTTP/1.1 tables. */
import { REQUEST_ROWS } from "./http1_requests.ts";
import { RESPONSE_ROWS } from "./http1_responses.ts";
import type { Row } from "./row.ts";
import { SMUGGLING_ROWS } from "./smuggling.ts";

export const ROWS: readonly Row[] = [...REQUEST_ROWS, ...RESPONSE_ROWS, ...SMUGGLING_ROWS];
