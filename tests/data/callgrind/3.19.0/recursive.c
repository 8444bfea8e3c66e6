#include <stdio.h>
#include <stdlib.h>
static volatile unsigned sink;
__attribute__((noinline)) static void leaf(int n) { for (int i = 0; i < n; i++) sink += i * 7; }
__attribute__((noinline)) int odd(int n);
__attribute__((noinline)) int even(int n) { leaf(20); return n == 0 ? 1 : odd(n - 1); }
__attribute__((noinline)) int odd(int n) { leaf(10); return n == 0 ? 0 : even(n - 1); }
__attribute__((noinline)) int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
__attribute__((noinline)) void cheap(void) { leaf(100); }
__attribute__((noinline)) void dear(void) { for (int i = 0; i < 9; i++) leaf(100); }
int main(void) { for (int i = 0; i < 50; i++) { cheap(); dear(); sink += even(30); } sink += fib(15); printf("%u\n", sink); return 0; }
