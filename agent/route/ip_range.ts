/** Subnets (`10.0.0.0/8`, `2001:db8::/32`) and whether an address lies in them. */
import { normalAddress } from "../core/ip.ts";

export interface IpRange {
  readonly v6: boolean;
  readonly bits: bigint;
  /** Of the prefix. */
  readonly length: number;
}

/** An address without a length is itself alone; undefined for what is no subnet. */
export function parseRange(text: string): IpRange | undefined {
  const slash = text.indexOf("/");
  const address = normalAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const v6 = address.includes(":");
  const most = v6 ? 128 : 32;
  const length = slash < 0 ? most : Number(text.slice(slash + 1));
  if (!Number.isInteger(length) || length < 0 || length > most) return undefined;
  return { v6, bits: bitsOf(address), length };
}

export function contains(range: IpRange | undefined, address: string): boolean {
  if (range === undefined || address.includes(":") !== range.v6) return false;
  const drop = BigInt((range.v6 ? 128 : 32) - range.length);
  return bitsOf(address) >> drop === range.bits >> drop;
}

/** Does every address of `inner` lie in it? */
export function holds(range: IpRange, inner: IpRange): boolean {
  if (range.v6 !== inner.v6 || range.length > inner.length) return false;
  const drop = BigInt((range.v6 ? 128 : 32) - range.length);
  return inner.bits >> drop === range.bits >> drop;
}

/** Of an address in normal spelling. */
function bitsOf(address: string): bigint {
  if (!address.includes(":")) return address.split(".").reduce((bits, part) => bits << 8n | BigInt(part), 0n);
  const [head = "", tail] = address.split("::");
  const groups = (text: string) => text === "" ? [] : text.split(":");
  const [front, back] = [groups(head), groups(tail ?? "")];
  const all = tail === undefined
    ? front
    : [...front, ...Array(8 - front.length - back.length).fill("0"), ...back];
  return all.reduce((bits: bigint, group: string) => bits << 16n | BigInt(`0x${group}`), 0n);
}
