(** * What the theorems rest on

    All theorems of the library in one tuple, and the axioms that any of them uses: those of Coq's standard reals. *)

From Nonconv Require Import Network Gradient Derivative Process Freeze Risk Rules Sharpness.

Definition all_theorems := (
  (@delta_output, @delta_hidden, @dead_neuron_zero_gradient, @dead_layer_zero_gradient),
  (@backpropagation_is_derivative, @backpropagation_is_partial_derivative_weight,
   @backpropagation_is_partial_derivative_bias),
  (@F_implies_FB, @FB_implies_S, @FB_implies_D, @S_implies_SS, @D_implies_SS),
  (@lemma_1, @lemma_1_decay, @lemma_2, @lemma_2_zero_biases, @lemma_3, @lemma_3_decay),
  (@risk_decomposition, @lemma_4_constant_output, @lemma_4_better_network, @lemma_4, @optimal_risk_exists),
  (@constant_output_non_convergence, @dead_layer_non_convergence, @structurally_dead_layer_non_convergence),
  (@freezes_F, @freezes_FB, @rule_non_convergence),
  (@sgd_freezes, @momentum_freezes, @nesterov_freezes, @nesterov_look_ahead_freezes, @adagrad_freezes,
   @rmsprop_freezes, @adam_freezes, @adamax_freezes, @amsgrad_freezes, @nadam_freezes),
  (@descent_follows_sgd, @negative_is_dead),
  (@decay_revives_positive_bias, @scaling_revives_second_layer)).

Print Assumptions all_theorems.
