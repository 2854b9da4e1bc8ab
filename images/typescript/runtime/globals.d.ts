// What Node gives to every program, for the type check of solutions. Loosely: the full
// declarations take longer to read than most solutions to check.
declare var console: any;
declare var process: any;
declare var module: any;
declare var exports: any;
declare var global: any;
declare var performance: any;
declare var crypto: any;
declare var __filename: string;
declare var __dirname: string;
declare function require(name: string): any;
declare function setTimeout(callback: (...args: any[]) => void, delayMs?: number, ...args: any[]): any;
declare function setInterval(callback: (...args: any[]) => void, delayMs?: number, ...args: any[]): any;
declare function setImmediate(callback: (...args: any[]) => void, ...args: any[]): any;
declare function clearTimeout(timer: any): void;
declare function clearInterval(timer: any): void;
declare function clearImmediate(timer: any): void;
declare function queueMicrotask(callback: () => void): void;
declare function structuredClone<T>(value: T, options?: any): T;
declare function atob(text: string): string;
declare function btoa(text: string): string;
declare function fetch(input: any, init?: any): Promise<any>;
declare var Buffer: any; type Buffer = any;
declare var URL: any; type URL = any;
declare var URLSearchParams: any; type URLSearchParams = any;
declare var TextEncoder: any; type TextEncoder = any;
declare var TextDecoder: any; type TextDecoder = any;
declare var AbortController: any; type AbortController = any;
declare var AbortSignal: any; type AbortSignal = any;
declare var Event: any; type Event = any;
declare var EventTarget: any; type EventTarget = any;
declare var Response: any; type Response = any;
declare var Request: any; type Request = any;
declare var Headers: any; type Headers = any;
declare var Blob: any; type Blob = any;
declare var FormData: any; type FormData = any;
declare var ReadableStream: any; type ReadableStream<T = any> = any;
declare var WritableStream: any; type WritableStream<T = any> = any;
declare var TransformStream: any; type TransformStream<T = any, U = any> = any;
declare var MessageChannel: any; type MessageChannel = any;
declare var DOMException: any; type DOMException = any;
type RequestInit = any;
type BufferEncoding = any;
interface ErrorConstructor {
  captureStackTrace(target: object, constructor?: Function): void;
  prepareStackTrace?: any;
  stackTraceLimit: number;
}
declare namespace NodeJS {
  type Timeout = any;
  type Timer = any;
  type Immediate = any;
  type ErrnoException = any;
  type ProcessEnv = any;
  type Process = any;
  type Platform = any;
  type Signals = any;
  type MemoryUsage = any;
  type ReadableStream = any;
  type WritableStream = any;
  type ReadWriteStream = any;
  type ArrayBufferView = any;
  type TypedArray = any;
  type Dict<T> = any;
}
declare module '*';
