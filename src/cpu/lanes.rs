//! Several vectors side by side, one operation at a time.
//!
//! The arithmetic of an element is one long chain in which each operation waits for the one before. A processor
//! looks ahead over about two such chains, not enough to fill its pipes: so [`K`] of them are interleaved.

use core::ops::{Add, Div, Mul, Neg, Shl, Shr, Sub};

use fearless_simd::prelude::*;

/// Vectors side by side.
pub(crate) const K: usize = 2;

/// f32 lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F32s<S: Simd>(pub [S::f32s; K]);
/// i32 lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct I32s<S: Simd>(pub [S::i32s; K]);
/// u32 lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct U32s<S: Simd>(pub [S::u32s; K]);
/// One truth value for each lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask<S: Simd>(pub [S::mask32s; K]);

/// Loops rather than closures: a closure does not inherit the instruction set of the function it is in.
macro_rules! each {
    ($out:ident = $init:expr; $i:ident => $value:expr) => {{
        let mut $out = $init;
        for $i in 0..K {
            $out[$i] = $value;
        }
        $out
    }};
}

macro_rules! binary {
    ($($type:ident: $($op:ident::$method:ident)*;)*) => {$($(
        impl<S: Simd> $op for $type<S> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, rhs: Self) -> Self {
                Self(each!(out = self.0; i => $op::$method(self.0[i], rhs.0[i])))
            }
        }
    )*)*};
}
binary! {
    F32s: Add::add Sub::sub Mul::mul Div::div;
    I32s: Sub::sub;
    U32s: Sub::sub;
}

macro_rules! scalar {
    ($($type:ident($scalar:ty): $($op:ident::$method:ident)*;)*) => {$($(
        impl<S: Simd> $op<$scalar> for $type<S> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, rhs: $scalar) -> Self {
                Self(each!(out = self.0; i => $op::$method(self.0[i], rhs)))
            }
        }
    )*)*};
}
scalar! {
    F32s(f32): Add::add Sub::sub Mul::mul;
    I32s(i32): Sub::sub;
    I32s(u32): Shl::shl Shr::shr;
    U32s(u32): Shl::shl;
}

impl<S: Simd> Neg for F32s<S> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(each!(out = self.0; i => -self.0[i]))
    }
}

macro_rules! compare {
    ($($method:ident)*) => {$(
        #[inline(always)]
        pub(super) fn $method(self, simd: S, rhs: f32) -> Mask<S> {
            Mask(each!(out = [S::mask32s::splat(simd, false); K]; i => self.0[i].$method(rhs)))
        }
    )*};
}

impl<S: Simd> F32s<S> {
    #[inline(always)]
    pub(super) fn load(simd: S, values: &[f32]) -> Self {
        let width = S::f32s::LEN;
        Self(
            each!(out = [S::f32s::splat(simd, 0.0); K]; i => S::f32s::from_slice(simd, &values[i * width..(i + 1) * width])),
        )
    }

    #[inline(always)]
    pub(super) fn splat(simd: S, value: f32) -> Self {
        Self([S::f32s::splat(simd, value); K])
    }

    #[inline(always)]
    pub(super) fn store(self, values: &mut [f32]) {
        let width = S::f32s::LEN;
        for i in 0..K {
            self.0[i].store_slice(&mut values[i * width..(i + 1) * width]);
        }
    }

    #[inline(always)]
    pub(super) fn abs(self) -> Self {
        Self(each!(out = self.0; i => self.0[i].abs()))
    }

    /// The magnitudes of these with the signs of `signs`.
    #[inline(always)]
    pub(super) fn copysign(self, signs: Self) -> Self {
        Self(each!(out = self.0; i => self.0[i].copysign(signs.0[i])))
    }

    #[inline(always)]
    pub(super) fn min(self, rhs: f32) -> Self {
        Self(each!(out = self.0; i => self.0[i].min(rhs)))
    }

    #[inline(always)]
    pub(super) fn max(self, rhs: impl Into<Operand<S>>) -> Self {
        let rhs = rhs.into();
        Self(each!(out = self.0; i => self.0[i].max(rhs.get(self.0[i].token(), i))))
    }

    #[inline(always)]
    pub(super) fn mul_add(self, factor: impl Into<Operand<S>>, term: impl Into<Operand<S>>) -> Self {
        let (factor, term) = (factor.into(), term.into());
        Self(each!(out = self.0; i => {
            let simd = self.0[i].token();
            self.0[i].mul_add(factor.get(simd, i), term.get(simd, i))
        }))
    }

    /// As [`F32s::mul_add`], rounded once whatever the instruction set.
    #[inline(always)]
    pub(super) fn mul_add_precise(self, factor: Self, term: Self) -> Self {
        Self(each!(out = self.0; i => self.0[i].mul_add_precise(factor.0[i], term.0[i])))
    }

    compare!(simd_lt simd_le simd_eq simd_ne);

    #[inline(always)]
    pub(super) fn bitcast_i32(self) -> I32s<S> {
        I32s(each!(out = [S::i32s::splat(self.0[0].token(), 0); K]; i => self.0[i].bitcast()))
    }

    #[inline(always)]
    pub(super) fn bitcast_u32(self) -> U32s<S> {
        U32s(each!(out = [S::u32s::splat(self.0[0].token(), 0); K]; i => self.0[i].bitcast()))
    }
}

/// An operand: lanes, or one value for all.
#[derive(Clone, Copy)]
pub(crate) enum Operand<S: Simd> {
    Lanes(F32s<S>),
    Value(f32),
}

impl<S: Simd> Operand<S> {
    #[inline(always)]
    fn get(self, simd: S, i: usize) -> S::f32s {
        match self {
            Operand::Lanes(lanes) => lanes.0[i],
            Operand::Value(value) => S::f32s::splat(simd, value),
        }
    }
}

impl<S: Simd> From<F32s<S>> for Operand<S> {
    #[inline(always)]
    fn from(lanes: F32s<S>) -> Self {
        Operand::Lanes(lanes)
    }
}

impl<S: Simd> From<f32> for Operand<S> {
    #[inline(always)]
    fn from(value: f32) -> Self {
        Operand::Value(value)
    }
}

impl<S: Simd> I32s<S> {
    #[inline(always)]
    pub(super) fn bitcast_f32(self) -> F32s<S> {
        F32s(each!(out = [S::f32s::splat(self.0[0].token(), 0.0); K]; i => self.0[i].bitcast()))
    }

    #[inline(always)]
    pub(super) fn to_float(self) -> F32s<S> {
        F32s(each!(out = [S::f32s::splat(self.0[0].token(), 0.0); K]; i => self.0[i].to_float()))
    }
}

impl<S: Simd> U32s<S> {
    #[inline(always)]
    pub(super) fn splat(simd: S, value: u32) -> Self {
        Self([S::u32s::splat(simd, value); K])
    }

    #[inline(always)]
    pub(super) fn bitcast_f32(self) -> F32s<S> {
        F32s(each!(out = [S::f32s::splat(self.0[0].token(), 0.0); K]; i => self.0[i].bitcast()))
    }

    /// The largest of these and of `max`, lane by lane of one vector.
    #[inline(always)]
    pub(super) fn max_into(self, mut max: S::u32s) -> S::u32s {
        for i in 0..K {
            max = max.max(self.0[i]);
        }
        max
    }
}

impl<S: Simd> Mask<S> {
    /// One bit for each lane, the lowest first.
    #[inline(always)]
    pub(super) fn from_bits(simd: S, bits: u64) -> Self {
        let width = S::f32s::LEN;
        let one = (1 << width) - 1;
        Self(
            each!(out = [S::mask32s::splat(simd, false); K]; i => S::mask32s::from_bitmask(simd, bits >> (i * width) & one)),
        )
    }

    #[inline(always)]
    pub(super) fn select(self, yes: impl Into<Operand<S>>, no: impl Into<Operand<S>>) -> F32s<S> {
        let (yes, no) = (yes.into(), no.into());
        let simd = self.0[0].token();
        F32s(each!(out = [S::f32s::splat(simd, 0.0); K]; i => self.0[i].select(yes.get(simd, i), no.get(simd, i))))
    }
}
